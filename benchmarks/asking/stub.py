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

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GENEROUS = (
    b"x-ratelimit-limit-requests: 10000000\r\nx-ratelimit-limit-tokens: 1000000000000\r\n"
    b"x-ratelimit-remaining-requests: 9999999\r\nx-ratelimit-remaining-tokens: 999999999999\r\n"
)
LEFT = "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: {}\r\nx-ratelimit-reset-requests: {:.3f}s\r\n"
REFUSED = b'{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}'
TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
AFTER = b"Retry-After: 1\r\n"
SAYS = ("everything", "retry-after", "nothing")  # of its limits, with a rate
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


class Allowance:
    """Requests that may be sent now: so many a second, and as many at once."""

    def __init__(self, rate: float) -> None:
        self.rate = self.level = rate
        self.filled = time.monotonic()

    def take(self) -> bool:
        """Take one, if there is one."""
        now = time.monotonic()
        self.level, self.filled = min(self.rate, self.level + (now - self.filled) * self.rate), now
        self.level -= (taken := self.level >= 1)
        return taken

    def told(self) -> bytes:
        """Return what is left, as headers."""
        return LEFT.format(int(self.rate), int(self.level), (self.rate - self.level) / self.rate).encode()


class Line(asyncio.Protocol):
    """One connection."""

    counts = Counts()
    latency, flaky, rate, says = 0.5, 0.0, 0.0, SAYS[0]
    allowance: Allowance | None = None

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
            type(self).counts, type(self).allowance = Counts(), Allowance(self.rate) if self.rate else None
            return self.send({})
        if b"chat/completions" not in head.split(b"\r\n")[0]:
            return self.send({"object": "list", "data": []})
        row, now = self.counts.row(body), time.monotonic()
        self.counts.asked[row] += 1
        self.counts.first = self.counts.first or now
        flaky = self.counts.asked[row] == 1 and row % 1000 < self.flaky * 1000  # in bursts, as real limits refuse
        if flaky or (self.allowance and not self.allowance.take()):
            self.counts.refused += 1
            after = b"" if self.says == "nothing" else AFTER
            head = TOO_MANY + after + self.limits() + b"Content-Length: %d\r\n\r\n" % len(REFUSED)
            return self.transport.write(head + REFUSED)
        self.counts.step(+1)
        asyncio.get_running_loop().call_later(self.latency, self.finish, row, self.counts)

    def finish(self, row: int, counts: Counts) -> None:
        """Send the answer; it counts as answered if somebody is there to take it."""
        counts.step(-1)
        counts.last = time.monotonic()
        if not self.transport.is_closing():
            counts.answered[row] += 1
            self.send(completion(row))

    def limits(self) -> bytes:
        """Return the headers of limits, as far as it speaks of them."""
        if not self.allowance:
            return GENEROUS
        return self.allowance.told() if self.says == "everything" else b""

    def send(self, what: dict) -> None:
        """Send JSON."""
        body = json.dumps(what).encode()
        if not self.transport.is_closing():
            self.transport.write(HEAD + self.limits() + b"Content-Length: %d\r\n\r\n" % len(body) + body)


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
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; the rest is refused")
    parser.add_argument("--says", choices=SAYS, default=SAYS[0], help="of its limits")
    args = parser.parse_args()
    Line.latency, Line.flaky, Line.rate, Line.says = args.latency, args.flaky, args.rate, args.says
    server = await asyncio.get_running_loop().create_server(Line, "127.0.0.1", args.port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
