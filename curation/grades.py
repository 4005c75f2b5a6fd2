"""Grade: ask a critic what each trace's reasoning is worth, and read its answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curation.asking.asked import Asked
from curation.asking.engine import find_provider
from curation.asking.reader import Reader
from curation.asking.requests import Endpoint, Request
from curation.asking.stage import How, Stage, ask_stage
from curation.prompting import Prompt, fill, load
from curation.reading import read_grade
from curation.runs import run
from curation.schema import REHEARSAL, content_id, now
from curation.selection import Selection, in_order, query, select
from curation.store import Store
from curation.traces import read_traces


def grade(
    store: Store,
    selection: Selection,
    target: Endpoint,
    *,
    approach: str | None = None,
    correct_only: bool = False,
    samples: int = 1,
    prompts: Path | None = None,
    how: How = How(),  # noqa: B008 - an immutable tuple
) -> Asked:
    """Ask a critic for a grade of each valid trace of a set that it has not graded yet.

    The critic sees the standard query and the reasoning; never the outcome, never the answer. A real critic is not
    asked for traces that were rehearsed.

    Args:
        store: the store.
        selection: the set of examples whose traces are graded.
        target: the critic.
        approach: grade the traces of one approach only.
        correct_only: leave out traces whose answer is wrong, which no dataset takes anyway.
        samples: opinions a trace.
        prompts: a folder of the user's own prompt files.
        how: limits and habits of asking.

    Returns:
        The count of requests.

    Source: the paper's section 3.2 and Appendix C.3.
    """
    opinion = Opinion(load("critic", prompts), load("standard", prompts), samples)
    read = GRADES.follow(store)
    read_traces(store)
    target = find_provider(target)
    traces = valid_traces(store, selection, approach, correct_only, target.provider == REHEARSAL)
    args = {**selection.given(), "approach": approach, "correct_only": correct_only}
    args = {k: v for k, v in args.items() if v} | target.given(samples, prompts)
    stage = Stage("grade", target, partial(opinion.asked, traces), traces.num_rows * samples, tally="graded")
    done = None
    with run(store, "grade", args) as this:
        try:
            done = ask_stage(store, stage._replace(run_id=this.id, read=read), how)
            this.stopped = done.stopped is not None
            return done
        finally:
            read.end(done)
            store.compact()


class Opinion(NamedTuple):
    """How a critic is asked: the prompt, the standard query that it is shown, and how many times."""

    critic: Prompt
    standard: Prompt
    samples: int

    def asked(self, traces: pa.Table, shuffled: bool = False) -> Iterator[Request]:
        """Yield the questions about these traces."""
        for batch in in_order(traces, shuffled).to_batches(max_chunksize=1_000):
            for trace in batch.to_pylist():
                query = fill(self.standard.user, {k: trace[k] for k in ("pert", "gene", "cell_line")})
                messages = self.critic.messages(query=query, reasoning=trace["reasoning"])
                for sample in range(self.samples):
                    number = sample + 1_000 * trace["copy"]
                    yield Request("grade", trace["trace_id"], self.critic, messages, number)


def valid_traces(
    store: Store,
    selection: Selection,
    approach: str | None,
    correct_only: bool,
    rehearsed: bool,
    since: datetime | None = None,
) -> pa.Table:
    """Return the valid traces of a set in the order they are graded in; with `since` those read after that time."""
    chosen = f"(SELECT example_id, row_number() OVER () AS n FROM ({query('selection')}))"
    sql = f"WITH chosen AS {chosen} {query('valid_traces')}"
    select(store, selection._replace(limit=1))  # a split or cell line that is none is said before all else
    given = {"approach": approach, "correct_only": correct_only, "rehearsed": rehearsed, "since": since}
    return store.sql(sql, selection.params(store) | given)


def read_grades(store: Store) -> int:
    """Read the critics' answers that no grade was read from yet, as after a kill; returns how many."""
    return GRADES.read(store)


def _grade(response: dict[str, Any]) -> dict[str, Any]:
    read, rehearsed = read_grade(response["text"]), response["provider"] == REHEARSAL
    return {
        "grade_id": content_id(response["request_id"]),
        "request_id": response["request_id"],
        "trace_id": response["subject_id"],
        "critic": f"{'rehearsal/' if rehearsed else ''}{response['model']}@{response['prompt_hash']}",
        "provider": response["provider"],
        "grade": read.grade,
        "justification": read.justification,
        "reason": read.reason,
        "response_id": response["response_id"],
        "run_id": response["run_id"],
        "created": now(),
    }


GRADES = Reader("grade", "grades", "raw.grades", _grade)
