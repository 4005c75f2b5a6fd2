"""The way to an endpoint through the `openai` package; see `transport` for when it is taken."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Self

from openai import APIError, APIStatusError, AsyncOpenAI, DefaultAioHttpClient, Timeout

from curation.asking.direct import CONNECT, cut
from curation.asking.replies import Raw
from curation.asking.requests import Endpoint


class Sdk:
    """The SDK's client; retries and time limits are the engine's, so that each call is a row."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.client = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key,
            max_retries=0,
            timeout=Timeout(None, connect=CONNECT),
            # a redirect would take prompts and key to an address that nobody chose
            http_client=DefaultAioHttpClient(timeout=None, follow_redirects=False),
        )

    async def __aenter__(self) -> Self:
        """Open nothing: the client opens what it needs."""
        return self

    async def __aexit__(self, *why: object) -> None:
        """Close the connections."""
        await self.client.close()

    async def models(self) -> Raw:
        """GET /models."""
        return await _raw(self.client.models.with_raw_response.list())

    async def post(self, body: dict[str, Any]) -> Raw:
        """POST /chat/completions."""
        more = {k: v for k, v in body.items() if k not in ("model", "messages")}
        asking = self.client.chat.completions.with_raw_response
        return await _raw(asking.create(model=body["model"], messages=body["messages"], extra_body=more))


async def _raw(asked: Awaitable[Any]) -> Raw:
    try:
        found = (await asked).http_response
    except APIStatusError as e:
        found = e.response
    except APIError as e:
        raise cut(e) from e
    return Raw(found.status_code, {k.lower(): v for k, v in found.headers.items()}, found.content)
