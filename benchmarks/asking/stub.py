"""A model's address that answers each chat completion after a fixed delay, and counts what it is asked.

GET /stats gives the counts and POST /reset clears them. A request is known by its messages; it speaks plain
asyncio, so that it takes as little as may be of the machine that it shares with the tool under test.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import hashlib
import json
import re
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"x-ratelimit-limit-requests: 10000000\r\nx-ratelimit-limit-tokens: 1000000000000\r\n"
    b"x-ratelimit-remaining-requests: 9999999\r\nx-ratelimit-remaining-tokens: 999999999999\r\n"
    b"Content-Length: "
)
REFUSED = b'{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}'
TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
ROW = re.compile(rb"#(\d+)#")  # how the drivers number their prompts
TEXT = "<think>{}</think><answer>upregulated</answer>".format("The gene lies downstream of the knocked-down one. " * 20)
USAGE = {"prompt_tokens": 250, "completion_tokens": 200, "total_tokens": 450}


class Counts:
    """What was asked since the last reset."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}  # messages -> the number of the row, by first arrival
        self.asked: collections.Counter[int] = collections.Counter()
        self.answered: collections.Counter[int] = collections.Counter()
        self.refused = self.in_flight = self.most = self.connections = 0
        self.first = self.last = self.ticked = 0.0
        self.area = 0.0  # requests in flight times seconds

    def row(self, body: bytes) -> int:
        """Return the number of a request: of the first to arrive 0, of the next new one 1."""
        marked = ROW.search(body)
        key = marked[0] if marked else hashlib.md5(body, usedforsecurity=False).digest()
        return self.rows.setdefault(key, len(self.rows))

    def step(self, change: int) -> None:
        """Count one more, or one less, in flight."""
        now = time.monotonic()
        self.area += self.in_flight * (now - (self.ticked or now))
        self.ticked = now
        self.in_flight += change
        self.most = max(self.most, self.in_flight)

    def told(self) -> dict[str, float]:
        """Return the counts; `window` is seconds from the first request to the last answer."""
        window = self.last - self.first if self.last else 0.0
        return {
            "total": self.asked.total(),
            "rows": len(self.asked),
            "answered": len(self.answered),
            "answered_twice": sum(n - 1 for n in self.answered.values()),
            "refused": self.refused,
            "most_in_flight": self.most,
            "mean_in_flight": self.area / window if window else 0.0,
            "connections": self.connections,
            "first": self.first,
            "last": self.last,
            "window": window,
            "in_flight": self.in_flight,
        }


class Line(asyncio.Protocol):
    """One connection."""

    counts = Counts()
    latency, flaky = 0.5, 0.0

    def connection_made(self, transport) -> None:
        """Start with nothing read."""
        self.transport, self.read = transport, b""
        self.counts.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that has wholly arrived."""
        self.read += data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            head = self.read[:end]
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.read) < whole:
                return
            body, self.read = self.read[end + 4 : whole], self.read[whole:]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """Tell the counts, refuse, or answer after the delay."""
        if head.startswith(b"GET /stats"):
            return self.send(self.counts.told())
        if head.startswith(b"POST /reset"):
            type(self).counts = Counts()
            return self.send({})
        if b"chat/completions" not in head.split(b"\r\n")[0]:
            return self.send({"object": "list", "data": []})
        row, now = self.counts.row(body), time.monotonic()
        self.counts.asked[row] += 1
        self.counts.first = self.counts.first or now
        if self.counts.asked[row] == 1 and row % 1000 < self.flaky * 1000:  # in bursts, as real limits refuse
            self.counts.refused += 1
            return self.transport.write(TOO_MANY + b"Content-Length: %d\r\n\r\n" % len(REFUSED) + REFUSED)
        self.counts.step(+1)
        asyncio.get_running_loop().call_later(self.latency, self.finish, row, self.counts)

    def finish(self, row: int, counts: Counts) -> None:
        """Send the answer; it counts as answered if somebody is there to take it."""
        counts.step(-1)
        counts.last = time.monotonic()
        if not self.transport.is_closing():
            counts.answered[row] += 1
            self.send(completion(row))

    def send(self, what: dict) -> None:
        """Send JSON."""
        body = json.dumps(what).encode()
        if not self.transport.is_closing():
            self.transport.write(HEAD + b"%d\r\n\r\n" % len(body) + body)


def completion(row: int) -> dict:
    """Return an answer of about a kilobyte, which a trace can be read from."""
    message = {"role": "assistant", "content": f"{TEXT[:7]}Row {row}. {TEXT[7:]}", "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
    named = {"id": f"chatcmpl-{row}", "object": "chat.completion", "created": 1, "model": "gpt-4"}
    return {**named, "choices": [choice], "usage": USAGE}


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--flaky", type=float, default=0.0, help="share of rows refused on their first ask")
    args = parser.parse_args()
    Line.latency, Line.flaky = args.latency, args.flaky
    server = await asyncio.get_running_loop().create_server(Line, "127.0.0.1", args.port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
