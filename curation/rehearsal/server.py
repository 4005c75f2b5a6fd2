"""An OpenAI-compatible server on this machine whose model is scripted, and which fails on demand."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from curation.rehearsal.failures import bad_request, failure, openai_errors
from curation.rehearsal.form import malformed
from curation.rehearsal.writer import Planted, answer, draws, fault_of, text_of

MODELS = ("rehearsal-generator", "rehearsal-critic")  # listed; any other name is answered too
OWNER = "synthpert-rehearsal"
BIGGEST = 16 * 2**20  # bytes of a request
BACKLOG = 1024  # connections that may wait to be accepted
LIMITS = {"requests": 600_000, "tokens": 1_000_000_000}  # a minute; said, never enforced


@dataclass
class Rehearsal:
    """The scripted model behind HTTP, and the counts of what it was asked."""

    latency: float = 0.0  # seconds before each reply
    fail: float = 0.0  # share of attempts, 0 to 1; asked again, a request may be answered
    malformed: float = 0.0  # share of requests, 0 to 1, whose answer is broken in form however often asked
    seed: int = 0  # another seed gives other answers, failures and breaks
    planted: Planted = Planted()  # how good the model and the critic are
    base_url: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)  # attempts, by the hash of the body
    answered: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    in_flight_max: int = 0

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=BIGGEST, middlewares=[openai_errors])
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/stats", self._stats)
        return app

    def stats(self, ids: bool = False) -> dict[str, Any]:
        """Count the attempts at requests that were well formed.

        Returns:
            requests (attempts), answered, failed (one whose client left too), repeated (asked after it had been
            answered: for another sample, or for nothing), unique, in_flight_max; with `ids` also ids:
            [{id, asked, answered}], a row a request.
        """
        found: dict[str, Any] = {n: self.counts[n] for n in ("requests", "answered", "failed", "repeated")}
        found |= {"unique": len(self.asked), "in_flight_max": self.in_flight_max}
        rows = [{"id": key, "asked": n, "answered": self.answered[key]} for key, n in self.asked.copy().items()]
        return found | ({"ids": rows} if ids else {})

    async def _models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": OWNER} for name in MODELS]
        return web.json_response({"object": "list", "data": data})

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(self.stats(request.query.get("ids") == "1"))

    async def _chat(self, request: web.Request) -> web.Response:
        body, key = _read(await request.read())
        self.asked[key] += 1
        self.counts.update(requests=1, repeated=int(self.answered[key] > 0))
        rng = draws(self.seed, "fail", key, self.asked[key])
        fails = rng.random() < self.fail
        await self._wait()
        left = request.transport is None or request.transport.is_closing()
        if fails or left:
            self.counts["failed"] += 1
            return failure(request, rng)
        self.counts["answered"] += 1
        self.answered[key] += 1
        return self._completion(body, key, self.answered[key])

    async def _wait(self) -> None:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
        finally:  # cancelled when the server stops
            self.in_flight -= 1

    def _completion(self, body: dict[str, Any], key: str, nth: int) -> web.Response:
        """Answer a request for the nth time: each time with another text, as a model does that is asked for samples."""
        # `seed` is OpenAI's parameter for another sample; asked again after a failure, the text is the first one
        salt = f"{body['model']} {body.get('seed')}" + (f" {nth}" if nth > 1 else "")
        asked_for = body["messages"], self.seed, salt, self.planted
        whole = answer(*asked_for)
        rng, cut = draws(self.seed, "malformed", key), fault_of(*asked_for) == "cut_off"
        text = malformed(whole, rng) if rng.random() < self.malformed and not cut else whole
        cut = cut or (text != whole and whole.startswith(text))
        message = {"role": "assistant", "content": text, "refusal": None}
        asked, said = len(text_of(body["messages"])) // 4, len(text) // 4
        reply = {
            "id": f"chatcmpl-{key}" + (f"-{nth}" if nth > 1 else ""),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}],
            "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
        }
        return web.json_response(reply, headers=_limits(self.in_flight + 1, asked + said))


@contextmanager
def serve(
    port: int = 0,
    latency: float = 0.0,
    fail: float = 0.0,
    malformed: float = 0.0,
    seed: int = 0,
    **planted: float,
) -> Iterator[Rehearsal]:
    """Serve a `Rehearsal` at its `base_url`, from a thread of its own, until the block ends.

    Port 0 takes a free one; quality, skill, critic_accuracy, critic_bias, faults and lookalikes are as in `Planted`,
    the rest is as in `Rehearsal`.

    Raises:
        OSError: the port is in use.
    """
    server = Rehearsal(latency, fail, malformed, seed, Planted(**planted))
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    try:
        job = _run(server, _listen(server, port), stop)
        thread = threading.Thread(target=loop.run_until_complete, args=(job,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
    finally:
        loop.close()


def run_forever(
    port: int = 0,
    latency: float = 0.0,
    fail: float = 0.0,
    malformed: float = 0.0,
    seed: int = 0,
    **planted: float,
) -> None:
    """Serve as `serve` does until Ctrl-C or SIGTERM; stdout gets one line, which makes a shell use it.

    Raises:
        OSError: the port is in use.
    """
    server = Rehearsal(latency, fail, malformed, seed, Planted(**planted))

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        listening = _listen(server, port)
        print(f"export OPENAI_BASE_URL={server.base_url} OPENAI_API_KEY=rehearsal", flush=True)
        await _run(server, listening, stop)

    asyncio.run(until_signal())


def _listen(server: Rehearsal, port: int) -> socket.socket:
    """Bind before anything else: a port in use is the caller's error, and clients may connect at once."""
    listening = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    server.base_url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    return listening


async def _run(server: Rehearsal, listening: socket.socket, stop: asyncio.Event) -> None:
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=BACKLOG).start()
    await stop.wait()
    await runner.cleanup()  # closes the socket too


def _limits(requests: int, tokens: int) -> dict[str, str]:
    left = {"requests": LIMITS["requests"] - requests, "tokens": LIMITS["tokens"] - tokens}
    said = {"limit": LIMITS, "remaining": left}
    return {f"x-ratelimit-{which}-{what}": str(n) for which, by in said.items() for what, n in by.items()}


def _read(data: bytes) -> tuple[dict[str, Any], str]:
    """Return a request's body, and its hash: 16 hex digits of its canonical JSON's sha256."""
    try:
        body = json.loads(data)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    except (ValueError, RecursionError) as e:  # the latter: a million nested brackets
        raise bad_request("We could not parse the JSON body of your request.") from e
    messages = body.get("messages") if isinstance(body, dict) else None
    if not (messages and isinstance(messages, list) and all(isinstance(m, dict) for m in messages)):
        raise bad_request("'messages' must be a list of one message or more.", "messages")
    if not isinstance(body.get("model"), str):
        raise bad_request("You must provide a model parameter.", "model")
    if body.get("stream"):
        raise bad_request("The rehearsal does not stream; leave out stream=true.", "stream")
    return body, key
