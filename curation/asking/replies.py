"""What came back from a model's address: an answer, or the kind of failure that it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from curation.asking.requests import Endpoint
from curation.schema import REHEARSAL

# what may pass: asked again within the run, and by the next run
PASSING = {"rate_limit", "server_error", "unreachable", "connection", "timeout", "not_a_completion"}
# those of them that say nothing of how much it is asked
SILENT = PASSING - {"rate_limit"}
# what would fail for every request: the run stops
FATAL = {"refused", "unknown_model", "quota", "redirected"}
# all else (bad_request, content_filter, too_long, too_large) would fail again for this request: only --retry-failed
# asks it
# of these nobody here knows whether the provider bills them: the model may have worked; where nobody was reached
# (`unreachable`) it has not
UNSETTLED = {"connection", "timeout", "not_a_completion", "too_large", "content_filter"}
LATE = {408, 504, 524}  # statuses of a server, or one before it, that has waited for the model and waits no longer

# codes by which a provider says that nobody pays for more, whatever the status; 402 says it without one
UNPAID = {
    "insufficient_quota", "insufficient_balance", "exceeded_current_quota_error",
    "billing_hard_limit_reached", "billing_not_active",
}  # fmt: skip

SAID = {"text", "thinking", "finish_reason", "detail"}  # columns that hold the server's words
THINKING = ("reasoning_content", "reasoning")  # DeepSeek and older vLLM; OpenRouter and newer vLLM
LARGEST = 16 * 2**20  # bytes of an answer: what is beyond any model's reach fills a store and serves nobody
REDIRECTS = (301, 302, 303, 307, 308)


class Raw(NamedTuple):
    """An HTTP response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What came back, as the columns of `responses`, and the headers that came with it."""

    columns: dict[str, Any]
    headers: Mapping[str, str] = {}

    @property
    def failure(self) -> str | None:
        """Return why there is no answer, or None."""
        return self.columns.get("failure")

    @property
    def unsettled(self) -> bool:
        """Tell whether it may have cost something that nobody here knows."""
        late = self.columns.get("http_status") in LATE
        return self.columns.get("usd") is None and (late or self.failure is None or self.failure in UNSETTLED)

    @property
    def wait(self) -> float | None:
        """Return the seconds that the server asks to wait: retry-after-ms, or Retry-After in seconds."""
        for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
            try:
                return max(0.0, float(self.headers[name]) / unit)
            except (KeyError, ValueError):  # none, or a date: the engine's own pause serves
                continue
        return None


def read(raw: Raw) -> Reply:
    """Tell an answer from a failure, and one failure from another."""
    if raw.status < 300:
        return Reply(_answer(raw.body, raw.status), raw.headers)
    return Reply(_refusal(raw), raw.headers)


def settled(reply: Reply, endpoint: Endpoint, seconds: float) -> Reply:
    """Return a reply as it is kept: with its time and its cost, without the key, in what UTF-8 can hold."""
    columns = {**reply.columns, "seconds": seconds}
    for name in SAID & columns.keys():
        columns[name] = columns[name] and _clean(endpoint.hidden(columns[name], answer=name != "detail"))
    if columns.get("detail"):
        columns["detail"] = columns["detail"][:500]
    columns["usd"] = usd(columns, endpoint)
    return Reply(columns, reply.headers)


def usd(columns: Mapping[str, Any], endpoint: Endpoint) -> float | None:
    """Return what a reply cost in dollars; None if its price or its tokens are unknown.

    Tokens of hidden reasoning are among `tokens_out`, as providers count them.
    """
    if endpoint.provider == REHEARSAL:
        return 0.0
    price, tokens_in, tokens_out = endpoint.price, columns.get("tokens_in"), columns.get("tokens_out")
    if tokens_in is None or tokens_out is None or not {"input", "output"} <= price.keys():
        return None
    cached = min(columns.get("tokens_cached") or 0, tokens_in)  # more would be a cost below nothing
    paid = (tokens_in - cached) * price["input"] + cached * price.get("cached", price["input"])
    return (paid + tokens_out * price["output"]) / 1e6


def _answer(body: bytes, status: int) -> dict[str, Any]:
    """Read a 200. A message is an answer however odd it is; anything else is no completion."""
    if len(body) > LARGEST:
        size = f"more than {LARGEST:,} bytes, which is the most an answer may have"
        return {"failure": "too_large", "detail": size, "http_status": status}
    try:
        found = parsed(body)
        choice = found["choices"][0]
        message = choice["message"]
        text, thoughts = message.get("content"), [message.get(name) for name in THINKING]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        start = body[:2000].decode(errors="replace")
        return {"failure": "not_a_completion", "detail": start, "http_status": status}
    finish = choice.get("finish_reason")
    columns = {
        "text": _text(text) or _text(message.get("refusal")),
        "thinking": next((t for t in thoughts if t and isinstance(t, str)), None),
        "finish_reason": finish if isinstance(finish, str) else None,
        "http_status": status,
        **_tokens(found.get("usage")),
    }
    if finish == "content_filter":
        columns |= {"failure": "content_filter", "detail": "the provider's filter withheld the answer"}
    return columns


def parsed(body: bytes) -> Any:
    """Return a JSON body; a text with half of a surrogate pair, which the faster reader refuses, is read too."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def _text(content: Any) -> str:
    """Return a message's text: a string, or a list of parts that hold some."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tokens(usage: Any) -> dict[str, int | None]:
    def number(*path: str) -> int | None:
        value = usage
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value if type(value) is int and 0 <= value < 2**53 else None

    return {
        "tokens_in": number("prompt_tokens"),
        "tokens_out": number("completion_tokens"),
        "tokens_cached": number("prompt_tokens_details", "cached_tokens"),
        "tokens_reasoning": number("completion_tokens_details", "reasoning_tokens"),
    }


def _refusal(raw: Raw) -> dict[str, Any]:
    """Name a refusal as the `openai` SDK's errors do: by its status, and the code in its body."""
    status = raw.status
    message, code = _said(raw)
    if status == 402 or code in UNPAID:
        kind = "quota"
    elif status == 429:
        kind = "rate_limit"
    elif status in (401, 403, 407):
        kind = "refused"
    elif status == 404:
        kind, message = "unknown_model", message + ("" if code else " (does the address end in /v1?)")
    elif status in REDIRECTS:
        kind, message = "redirected", elsewhere(raw)
    elif status >= 500 or status in (408, 409):
        kind = "server_error"
    elif code == "content_filter":
        kind = "content_filter"
    else:
        kind = "too_long" if code == "context_length_exceeded" or status == 413 else "bad_request"
    return {"failure": kind, "detail": message, "http_status": status}


def elsewhere(raw: Raw) -> str:
    """Return what is said of a redirect."""
    return f"it sends us on to {raw.headers.get('location')}; give the address itself"


def _said(raw: Raw) -> tuple[str, str]:
    """Return the message and the code, or else the type, of a refusal; a page of HTML stands for itself."""
    start = raw.body[:2000].decode(errors="replace")
    try:
        found = parsed(raw.body)
        error = found.get("error", found)
        code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    except (ValueError, AttributeError, RecursionError):
        return f"HTTP {raw.status}: {start}", ""
    said = error.get("message") if isinstance(error, dict) else error
    return f"HTTP {raw.status}: {said if isinstance(said, str) else start}", str(code or "")


def _clean(text: str) -> str:
    """Return a text that UTF-8 can hold: half of a surrogate pair becomes the replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
