"""The server process: reads who may use it from stdin, tells stdout when that is done, serves until stdin ends.

It ends with its parent whatever kills that one: the kernel closes the pipe.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import fakeredis
import redis


def _no_hub(*args: Any, **kwargs: Any) -> None:
    raise NotImplementedError("this server neither imports from the Hugging Face Hub nor exports to it")


# argilla_server opens its connection when it is imported, and imports datasets for its traffic with the Hub
redis.from_url = lambda *args, **kwargs: fakeredis.FakeRedis()
sys.modules["datasets"] = SimpleNamespace(  # type: ignore[assignment]
    Dataset=_no_hub, NamedSplit=_no_hub, load_dataset=_no_hub, features=None
)

import alembic.config  # noqa: E402
import uvicorn  # noqa: E402
from argilla_server.database import ALEMBIC_CONFIG_FILE  # noqa: E402
from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine import Engine  # noqa: E402

from . import accounts, filters, jobs, search  # noqa: E402, F401 - search registers the engine

GRACE = 3  # seconds for requests in flight


def main() -> None:
    """Serve on the socket whose descriptor is the last argument."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    event.listen(Engine, "connect", _teach)
    alembic.config.main(argv=["-c", ALEMBIC_CONFIG_FILE, "upgrade", "head"])
    asyncio.run(_serve(json.loads(sys.stdin.readline()), answer, socket.socket(fileno=int(sys.argv[-1]))))


async def _serve(given: dict[str, Any], answer: Any, listening: socket.socket) -> None:
    try:
        settled = await accounts.settle(given["workspace"], given["users"])
    except LookupError as e:
        settled = {"error": str(e)}
    with answer:
        print(json.dumps(settled), file=answer)
    if "error" in settled:
        return
    jobs.run_here()
    await jobs.resume()
    config = uvicorn.Config("argilla_server:app", log_level="warning", access_log=False)
    config.timeout_graceful_shutdown = GRACE
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    await server.serve(sockets=[listening])


def _end_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True
    time.sleep(2 * GRACE)
    os._exit(1)


def _teach(connection: Any, record: Any) -> None:
    """Give SQLite what it lacks, and let readers go on while one writes."""
    connection.create_function(filters.FOLD, 1, lambda value: str(value).casefold(), deterministic=True)
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
