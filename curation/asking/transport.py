"""One request to one OpenAI-compatible endpoint, through the `openai` SDK, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, NamedTuple

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    DefaultAioHttpClient,
    NotFoundError,
    PermissionDeniedError,
)

from curation.asking.requests import Endpoint, Request
from curation.errors import EndpointError
from curation.schema import REHEARSAL

# what may pass: asked again within the run, and by the next run
PASSING = {"rate_limit", "server_error", "connection", "timeout", "not_a_completion"}
# what would fail for every request: the run stops
FATAL = {"refused", "unknown_model", "quota", "redirected"}
# all else (bad_request, content_filter, too_long, too_large) would fail again for this request: only --retry-failed
# asks it


SAID = {"text", "thinking", "finish_reason", "detail"}  # columns that hold the server's words
LARGEST = 16 * 2**20  # bytes of an answer: what is beyond any model's reach fills a store and serves nobody
REDIRECTS = (301, 302, 303, 307, 308)


class Reply(NamedTuple):
    """What came back, as the columns of `responses`, and how long the server asks to wait, in seconds."""

    columns: dict[str, Any]
    wait: float | None = None

    @property
    def failure(self) -> str | None:
        """Return why there is no answer, or None."""
        return self.columns.get("failure")


def client(endpoint: Endpoint, timeout: float) -> AsyncOpenAI:
    """Return the SDK's client; retries are the engine's, so that each call is a row."""
    return AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.key,
        max_retries=0,
        timeout=timeout,
        # a redirect would take prompts and key to an address that nobody chose
        http_client=DefaultAioHttpClient(timeout=timeout, follow_redirects=False),
    )


async def identify(sdk: AsyncOpenAI, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its true provider: a rehearsal server says so in its list of models.

    Raises:
        EndpointError: nobody answers at the address, or the key is refused.
    """
    try:
        async with asyncio.timeout(30):
            models = await sdk.with_options(max_retries=2, timeout=20).models.list()
        owners = [getattr(m, "owned_by", None) for m in getattr(models, "data", None) or ()]
    except AuthenticationError as e:
        raise EndpointError(f"{endpoint.base_url} refuses the key (HTTP {e.status_code})") from e
    except APIStatusError as e:
        if e.status_code in REDIRECTS:
            raise EndpointError(f"{endpoint.base_url}: {_elsewhere(e)}") from e
        return endpoint  # a server without a list of models still answers questions
    except APIConnectionError as e:
        cause = endpoint.hidden(str(e.__cause__ or e))
        raise EndpointError(f"nobody answers at {endpoint.base_url}: {cause}") from e
    except Exception:  # a page of HTML, a list of something else: such a server still answers questions
        return endpoint
    rehearsed = "synthpert-rehearsal" in owners
    return endpoint._replace(provider=REHEARSAL, price={}) if rehearsed else endpoint


async def send(sdk: AsyncOpenAI, endpoint: Endpoint, request: Request) -> Reply:
    """Ask once. Never raises for what a server or a network does: that is a reply with a `failure`."""
    began = time.monotonic()
    try:
        # the SDK's own limit is for each read: a server that drips would hold the place for ever
        async with asyncio.timeout(sdk.timeout if isinstance(sdk.timeout, float | int) else None):
            raw = await sdk.chat.completions.with_raw_response.create(
                model=endpoint.model,
                messages=request.messages,  # type: ignore[arg-type]
                extra_body=endpoint.params,
            )
        reply = _answer(raw.content, raw.status_code)
    except APIStatusError as e:
        reply = Reply(_refusal(e), _wait(e.response.headers))
    except (APITimeoutError, TimeoutError):
        reply = Reply({"failure": "timeout", "detail": "no answer in time"})
    except APIError as e:
        reply = Reply({"failure": "connection", "detail": str(e.__cause__ or e)})
    except Exception as e:  # headers and bodies that are no HTTP fail in ways that no library names in one place
        reply = Reply({"failure": "connection", "detail": f"{type(e).__name__}: {e}"})
    columns = {**reply.columns, "seconds": time.monotonic() - began}
    for name in SAID & columns.keys():
        columns[name] = columns[name] and _clean(endpoint.hidden(columns[name]))
    if columns.get("detail"):
        columns["detail"] = columns["detail"][:500]
    columns["usd"] = usd(columns, endpoint)
    return Reply(columns, reply.wait)


def usd(columns: dict[str, Any], endpoint: Endpoint) -> float | None:
    """Return what a reply cost in dollars; None if its price or its tokens are unknown."""
    if endpoint.provider == REHEARSAL:
        return 0.0
    price, tokens_in, tokens_out = endpoint.price, columns.get("tokens_in"), columns.get("tokens_out")
    if tokens_in is None or tokens_out is None or not {"input", "output"} <= price.keys():
        return None
    cached = columns.get("tokens_cached") or 0
    paid = (tokens_in - cached) * price["input"] + cached * price.get("cached", price["input"])
    return (paid + tokens_out * price["output"]) / 1e6


def _answer(body: bytes, status: int) -> Reply:
    """Read a 200. A message is an answer however odd it is; anything else is no completion."""
    if len(body) > LARGEST:
        size = f"{len(body):,} bytes; an answer has {LARGEST:,} at most"
        return Reply({"failure": "too_large", "detail": size, "http_status": status})
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        message = choice["message"]
        text, thinking = message.get("content"), message.get("reasoning_content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        start = body[:2000].decode(errors="replace")
        return Reply({"failure": "not_a_completion", "detail": start, "http_status": status})
    finish = choice.get("finish_reason")
    columns = {
        "text": _text(text) or _text(message.get("refusal")),
        "thinking": thinking if isinstance(thinking, str) else None,
        "finish_reason": finish if isinstance(finish, str) else None,
        "http_status": status,
        **_tokens(found.get("usage")),
    }
    if finish == "content_filter":
        columns |= {"failure": "content_filter", "detail": "the provider's filter withheld the answer"}
    return Reply(columns)


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


def _refusal(error: APIStatusError) -> dict[str, Any]:
    status, code = error.status_code, str(getattr(error, "code", None) or "")
    hint = " (does the address end in /v1?)" if status == 404 and not code else ""
    if status == 429:
        kind = "quota" if code == "insufficient_quota" else "rate_limit"
    elif isinstance(error, AuthenticationError | PermissionDeniedError):
        kind = "refused"
    elif isinstance(error, NotFoundError):
        kind = "unknown_model"
    elif status in REDIRECTS:
        return {"failure": "redirected", "detail": _elsewhere(error), "http_status": status}
    elif status >= 500 or status in (408, 409):
        kind = "server_error"
    elif code == "content_filter":
        kind = "content_filter"
    else:
        kind = "too_long" if code == "context_length_exceeded" or status == 413 else "bad_request"
    return {"failure": kind, "detail": error.message + hint, "http_status": status}


def _elsewhere(error: APIStatusError) -> str:
    return f"it sends us on to {error.response.headers.get('location')}; give the address itself"


def _wait(headers: Any) -> float | None:
    """Return the seconds that the server asks to wait: retry-after-ms, or Retry-After in seconds."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):  # none, or a date: the engine's own pause serves
            continue
    return None


def _clean(text: str) -> str:
    """Return a text that UTF-8 can hold: half of a surrogate pair becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
