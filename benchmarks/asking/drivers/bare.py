"""The floor: a bare loop that commits each answer to SQLite in small groups, and resumes from it."""

import asyncio
import sqlite3

import aiohttp
from prompts import options, prompts

given = options()


async def main():
    """Ask what the file does not hold yet."""
    db = sqlite3.connect(f"{given.work}/answers.db", isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.execute("create table if not exists answers(row integer primary key, text text)")
    have = {row for (row,) in db.execute("select row from answers")}
    todo = iter([(i, text) for i, text in enumerate(prompts(given.n)) if i not in have])
    waiting = []

    def flush():
        if waiting:
            db.execute("begin")
            db.executemany("insert or replace into answers values(?,?)", waiting)
            db.execute("commit")
            waiting.clear()

    async def worker(session):
        for i, text in todo:
            body = {"model": "gpt-4", "messages": [{"role": "user", "content": text}]}
            while True:
                async with session.post(f"{given.url}/chat/completions", json=body) as reply:
                    found = await reply.json()
                    if reply.status == 200:
                        break
                    await asyncio.sleep(float(reply.headers.get("Retry-After", 1)))
            waiting.append((i, found["choices"][0]["message"]["content"]))

    async def flusher():
        while True:
            await asyncio.sleep(0.05)
            flush()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        keeping = asyncio.create_task(flusher())
        await asyncio.gather(*(worker(session) for _ in range(given.concurrency)))
        keeping.cancel()
        flush()


asyncio.run(main())
