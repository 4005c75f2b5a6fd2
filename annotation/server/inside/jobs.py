"""Argilla's jobs, run by the server itself: it hands them to workers through Redis, and here there are neither."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import RecordStatus, ResponseStatus
from argilla_server.jobs.dataset_jobs import update_dataset_records_status_job
from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE
from argilla_server.models import Dataset, Record, Response
from rq.job import JobStatus
from sqlalchemy import Integer, and_, cast, func, or_, select

TRIES = 3
_running: set[asyncio.Task] = set()  # the event loop itself holds tasks weakly


def run_here() -> None:
    """Run each job in the server's event loop as soon as it is queued."""
    for queue in (DEFAULT_QUEUE, HIGH_QUEUE):
        queue.push_job_id = lambda *args, **kwargs: None
        queue.enqueue_job = _at_once(queue.enqueue_job)


async def resume() -> None:
    """Queue what a server that was killed left undone: records whose status is not what their responses make it."""
    async with AsyncSessionLocal() as db:
        for dataset_id in (await db.scalars(_unsettled())).all():
            update_dataset_records_status_job.delay(dataset_id)


def _unsettled() -> Any:
    submitted = select(func.count()).where(Response.record_id == Record.id)
    n = submitted.where(Response.status == ResponseStatus.submitted).correlate(Record).scalar_subquery()
    wanted = cast(func.json_extract(Dataset.distribution, "$.min_submitted"), Integer)
    done, open_ = Record.status == RecordStatus.completed, Record.status == RecordStatus.pending
    wrong = or_(and_(open_, n >= wanted), and_(done, n < wanted))
    return select(Record.dataset_id).join(Dataset).where(wrong).distinct()


def _at_once(enqueue: Any) -> Any:
    def go(job: Any, *args: Any, **kwargs: Any) -> Any:
        queued = enqueue(job, *args, **kwargs)
        task = asyncio.get_running_loop().create_task(_perform(queued))
        _running.add(task)
        task.add_done_callback(_running.discard)
        return queued

    return go


async def _perform(job: Any) -> None:
    for left in reversed(range(TRIES)):
        try:
            await job.func(*job.args, **job.kwargs)
        except Exception:  # whatever a job meets, the server goes on, as it does beside a worker
            logging.getLogger("argilla").exception("%s failed, %d tries left", job.func_name, left)
        else:
            return job.set_status(JobStatus.FINISHED)
    job.set_status(JobStatus.FAILED)
