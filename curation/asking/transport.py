"""One request to one OpenAI-compatible endpoint, and what came of it.

There are two ways to send it: `direct`, an HTTP client and nothing else, and `sdk`, the `openai` package. They send the
same method, path and JSON, and a test holds them to it. The direct way is the usual one: at 500 requests in flight the
SDK takes twice the CPU and half as long again. `client = "sdk"` in a model's table of synthpert.toml chooses the other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from curation.asking.replies import REDIRECTS, Raw, Reply, elsewhere, parsed, read, settled
from curation.asking.requests import Endpoint, Request
from curation.config import CLIENTS, model_settings
from curation.errors import EndpointError
from curation.schema import REHEARSAL


class CutError(Exception):
    """Nothing that is HTTP came back: the connection was cut."""

    failure = "connection"


class UnreachableError(CutError):
    """The request never left: nobody listens, no such name, no TLS, or a proxy that lets nothing through."""

    failure = "unreachable"


class Wire(Protocol):
    """An open way to an endpoint."""

    async def models(self) -> Raw:
        """Ask for the list of models; a status of any kind is returned, not raised.

        Raises:
            CutError: nobody answers.
        """
        ...

    async def post(self, body: dict[str, Any]) -> Raw:
        """Send a chat completion; a status of any kind is returned, not raised.

        Raises:
            CutError: no whole answer came.
        """
        ...


def open_wire(endpoint: Endpoint) -> AbstractAsyncContextManager[Wire]:
    """Return the way to an endpoint that its table in synthpert.toml names."""
    if model_settings(endpoint.model).get("client", CLIENTS[0]) == "sdk":
        from curation.asking import sdk

        return sdk.Sdk(endpoint)
    from curation.asking import direct

    return direct.Direct(endpoint)


def body(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """Return what is sent."""
    return {"messages": request.messages, "model": endpoint.model, **endpoint.params}


async def send(wire: Wire, endpoint: Endpoint, request: Request, timeout: float) -> Reply:
    """Ask once. Never raises for what a server or a network does: that is a reply with a `failure`."""
    began = time.monotonic()
    try:
        # of the whole exchange: a server that drips would hold the place for ever
        async with asyncio.timeout(timeout):
            reply = read(await wire.post(body(endpoint, request)))
    except TimeoutError:
        reply = Reply({"failure": "timeout", "detail": "no answer in time"})
    except CutError as e:
        reply = Reply({"failure": e.failure, "detail": str(e)})
    except Exception as e:  # headers and bodies that are no HTTP fail in ways that no library names in one place
        reply = Reply({"failure": "connection", "detail": f"{type(e).__name__}: {e}"})
    return settled(reply, endpoint, time.monotonic() - began)


async def identify(wire: Wire, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its true provider: a rehearsal server says so in its list of models.

    Raises:
        EndpointError: nobody answers at the address, or the key is refused.
    """
    for last in (False, False, True):  # a server that has just come up, or a network that blinks
        try:
            async with asyncio.timeout(20):
                raw = await wire.models()
            break
        except (CutError, TimeoutError) as e:
            if last:
                cause = endpoint.hidden(str(e) or "no answer in time")
                raise EndpointError(f"nobody answers at {endpoint.base_url}: {cause}") from e
            await asyncio.sleep(0.3)
        except Exception:  # what is no HTTP at all is told by the first question
            return endpoint
    if raw.status == 401:
        raise EndpointError(f"{endpoint.base_url} refuses the key (HTTP {raw.status})")
    if raw.status in REDIRECTS:
        raise EndpointError(f"{endpoint.base_url}: {endpoint.hidden(elsewhere(raw))}")
    rehearsed = raw.status == 200 and "synthpert-rehearsal" in _owners(raw)
    return endpoint._replace(provider=REHEARSAL, price={}) if rehearsed else endpoint


def _owners(raw: Raw) -> list[Any]:
    """Return who owns the models of a list; of a page of HTML, or a list of something else, nobody."""
    try:
        return [model.get("owned_by") for model in parsed(raw.body)["data"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
