"""The direct way to an endpoint: aiohttp, a JSON body, and nothing in between."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from curation.asking.replies import LARGEST, Raw
from curation.asking.requests import Endpoint
from curation.asking.transport import CutError, UnreachableError

# what the SDK takes from the environment and sends, so do we
NAMED = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
CONNECT = 30.0  # seconds to reach a server
UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
CUT = (aiohttp.ClientError, OSError, asyncio.IncompleteReadError)


class Direct:
    """A session with one endpoint; as many connections as there are requests in flight."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.base_url = endpoint.base_url
        self.headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
        self.headers |= {name: value for name, variable in NAMED.items() if (value := os.environ.get(variable))}
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Open the session."""
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=self.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            proxy=_proxy(self.base_url),
        )
        return self

    async def __aexit__(self, *why: object) -> None:
        """Close the connections."""
        await self.session.close()

    async def models(self) -> Raw:
        """GET /models."""
        return await self._ask("GET", "/models")

    async def post(self, body: dict[str, Any]) -> Raw:
        """POST /chat/completions."""
        return await self._ask("POST", "/chat/completions", orjson.dumps(body))

    async def _ask(self, method: str, path: str, data: bytes | None = None) -> Raw:
        try:
            # a redirect would take prompts and key to an address that nobody chose
            async with self.session.request(method, self.base_url + path, data=data, allow_redirects=False) as reply:
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return Raw(reply.status, headers, await _body(reply))
        except CUT as e:
            raise cut(e) from e


def cut(error: BaseException) -> CutError:
    """Return what is to be said of an exchange that broke off, by the error of aiohttp among its causes."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, CUT):
        cause = cause.__cause__
    cause = cause or error
    return (UnreachableError if isinstance(cause, UNSENT) else CutError)(str(cause) or type(cause).__name__)


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address, as the SDK takes it; looked up once a session."""
    place, named = urlsplit(url), getproxies()
    if place.hostname and proxy_bypass(place.netloc):
        return None
    return named.get(place.scheme) or named.get("all")


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    """Return a body, or its beginning where it is larger than any answer."""
    # the length is that of what is sent: a megabyte of gzip may be a gigabyte
    if (reply.content_length or LARGEST) < LARGEST and "Content-Encoding" not in reply.headers:
        return await reply.read()
    found = bytearray()
    async for part in reply.content.iter_any():
        found += part
        if len(found) > LARGEST:
            break
    return bytes(found)
