"""Every way in which the rehearsal's server does not answer, in the shapes that OpenAI's clients read."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable

from aiohttp import web

STATUSES = {
    429: ("requests", "rate_limit_exceeded", "Rate limit reached, as the rehearsal was told to say"),
    500: ("server_error", None, "The server had an error, as the rehearsal was told to have"),
    503: ("server_error", "overloaded", "The server is overloaded, as the rehearsal was told to be"),
}
FAILURES = (*STATUSES, "cut", "html", "no choices")


def failure(request: web.Request, rng: random.Random) -> web.Response:
    """Fail an attempt in one of the ways `FAILURES` that endpoints do, each as likely as another."""
    kind = rng.choice(FAILURES)
    if isinstance(kind, int):
        return _error(kind, *STATUSES[kind], headers=_wait(rng) if kind == 429 else None)
    if kind == "no choices":
        return web.json_response({"id": "chatcmpl-none", "object": "chat.completion"})
    if kind == "cut" and request.transport is not None:
        request.transport.abort()  # what is returned then reaches nobody
    return web.Response(text="<html><body><h1>Bad gateway</h1></body></html>", content_type="text/html")


def bad_request(message: str, param: str | None = None) -> web.HTTPBadRequest:
    """Return the exception that refuses a request for good."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return web.HTTPBadRequest(text=json.dumps({"error": error}), content_type="application/json")


@web.middleware
async def openai_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give aiohttp's own refusals (404, 405, 413) the shape of OpenAI's."""
    try:
        return await handler(request)
    except web.HTTPException as e:
        if e.content_type == "application/json":
            raise
        return _error(e.status, "invalid_request_error", None, f"{e.reason}: {request.method} {request.path}")


def _wait(rng: random.Random) -> dict[str, str]:
    headers = {"Retry-After": rng.choice("01")}
    return headers | ({"retry-after-ms": str(rng.randrange(1, 1000))} if rng.random() < 0.5 else {})


def _error(
    status: int, kind: str, code: str | None, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)
