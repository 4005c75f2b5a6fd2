"""A model's server that does, now and then, all that servers and networks do; and keeps a ledger of what it gave.

Every whole answer has a number of its own, which stands in its count of tokens, and a price: so one can tell afterwards
which answers the client kept, and what it should have counted.
"""

import asyncio
import hashlib
import json
import random
import threading
from collections import Counter
from contextlib import contextmanager

PRICE = {"input": 2.0, "cached": 0.5, "output": 8.0}  # dollars for a million tokens
ANSWERS = {"plain": 60, "empty": 1, "length": 1, "refusal": 1, "odd": 1}  # kind -> weight; each is an answer
PASSING = {
    "429": 4, "429 after": 3, "429 gone": 0.3, "500": 2, "502": 2, "503": 2, "529": 1, "408": 1, "409": 1,
    "html": 2, "no choices": 1, "no json": 1, "cut": 2, "cut in the body": 2, "hang": 0.3,
}  # fmt: skip
LASTING = {"400": 1, "413": 0.5, "too long": 0.5, "content filter": 1}
SENSELESS = {"401": 0.02, "403": 0.02, "404": 0.02, "quota": 0.02}
KINDS = ANSWERS | PASSING | LASTING | SENSELESS
REFUSALS = {
    "429": (429, "rate_limit_exceeded", ""),
    "429 after": (429, "rate_limit_exceeded", "Retry-After: 1\r\n"),
    "429 gone": (429, "rate_limit_exceeded", "x-ratelimit-limit-requests: 9000\r\nx-ratelimit-remaining-requests: 0\r\n"
                 "x-ratelimit-reset-requests: 200ms\r\n"),
    "quota": (429, "insufficient_quota", ""),
    "too long": (400, "context_length_exceeded", ""),
    **{str(n): (n, None, "") for n in (400, 401, 403, 404, 408, 409, 413, 500, 502, 503, 529)},
}  # fmt: skip
TEXTS = {
    "plain": "<think>One lies downstream of the other.</think><answer>upregulated</answer>",
    "empty": "", "length": "<think>One lies", "odd": "I cannot say.", "refusal": None,
}  # fmt: skip
FINISH = {"length": "length", "content filter": "content_filter"}
FIRST = 1_000  # tokens of the prompt in answer 0; of the next one more
LATENCY = 0.01, 0.08  # seconds, from and to


class Faulty:
    """What it was asked and what it gave, by the hash of what was sent."""

    def __init__(self, seed):
        self.seed = seed
        self.asked, self.kinds = Counter(), Counter()
        self.ledger = {}  # number of an answer -> (request, dollars)
        self.in_flight = self.most = 0
        self.closed = False

    def draw(self, key):
        """What becomes of a request this time: by seed, request and attempt, so that a run can be had again."""
        rng = random.Random(f"{self.seed} {key} {self.asked[key]}")
        lasting = random.Random(f"{self.seed} {key}")
        weights = sum(KINDS.values())
        if lasting.random() < sum(LASTING.values()) / weights:  # the same however often it is asked
            return lasting.choices(list(LASTING), LASTING.values())[0], rng
        kinds = {k: w for k, w in KINDS.items() if k not in LASTING}
        return rng.choices(list(kinds), kinds.values())[0], rng

    async def connection(self, reader, writer):
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                if head.startswith(b"GET"):
                    writer.write(_http(200, {"object": "list", "data": []}))
                elif not await self.chat(json.loads(body), writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def chat(self, body, writer):
        """Answer one request; false where the connection is at its end."""
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        self.asked[key] += 1
        kind, rng = self.draw(key)
        self.kinds[kind] += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(rng.uniform(*LATENCY) if kind != "hang" else 3)
        finally:
            self.in_flight -= 1
        return self.reply(kind, key, rng, writer)

    def reply(self, kind, key, rng, writer):
        if kind in REFUSALS:
            status, code, headers = REFUSALS[kind]
            writer.write(_http(status, {"error": {"message": f"planted {kind}", "code": code}}, headers))
        elif kind == "html":
            writer.write(_http(200, b"<html><body>Bad gateway</body></html>"))
        elif kind == "no choices":
            writer.write(_http(200, {"object": "chat.completion"}))
        elif kind == "no json":
            writer.write(_http(200, b'{"choices": [{"mess'))
        elif kind == "cut in the body":
            writer.write(_http(200, self.answer("plain", key, rng, paid=False))[:-20])
        elif kind in ANSWERS or kind == "content filter":
            writer.write(_http(200, self.answer(kind, key, rng)))
        return kind not in ("cut", "cut in the body", "hang")

    def answer(self, kind, key, rng, paid=True):
        """Return a completion, and write it into the ledger."""
        number, out = len(self.ledger), rng.randrange(50, 400)
        tokens, cached = FIRST + number, rng.randrange(FIRST)
        if paid:
            usd = (tokens - cached) * PRICE["input"] + cached * PRICE["cached"] + out * PRICE["output"]
            self.ledger[number] = (key, usd / 1e6)
        more = {"completion_tokens_details": {"reasoning_tokens": out // 2}}
        usage = {"prompt_tokens": tokens, "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens": out}
        message = {"role": "assistant", "content": TEXTS.get(kind, TEXTS["plain"])}
        message |= {"refusal": "No."} if kind == "refusal" else {}
        choice = {"index": 0, "message": message, "finish_reason": FINISH.get(kind, "stop")}
        return {"id": f"c-{number}", "choices": [choice], "usage": usage | more}


def _http(status, body, headers=""):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@contextmanager
def faulty(seed):
    """Serve on loopback; yields the server and its address. Every few seconds nobody answers for a moment."""
    found, loop, stop = Faulty(seed), asyncio.new_event_loop(), asyncio.Event()
    ready = threading.Event()

    async def serve():
        server = await asyncio.start_server(found.connection, "127.0.0.1", 0, backlog=1024)
        port = found.port = server.sockets[0].getsockname()[1]
        ready.set()
        rng = random.Random(seed)
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), rng.uniform(2, 5))
            except TimeoutError:
                server.close()
                await asyncio.sleep(0.2)
                server = await asyncio.start_server(found.connection, "127.0.0.1", port, backlog=1024)
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found, f"http://127.0.0.1:{found.port}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
