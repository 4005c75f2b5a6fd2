"""The tables of the store: every column with its type, unit and meaning, and how ids are made.

Types are string, int64, float64, bool, UTC timestamps, lists and structs of them, and no others: Delta has
no unsigned numbers, and a column can never be narrowed or widened later.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

STRING, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
ORIGIN = pa.struct([("file", STRING), ("digest", STRING), ("row", INT), ("licence", STRING)])
MESSAGES = pa.list_(pa.struct([pa.field("role", STRING), pa.field("content", STRING)]))

LABELS = ("upregulated", "downregulated", "not differentially expressed")
REHEARSAL = "rehearsal"  # as a provider or a source: nothing of it may stand in for the real thing


def content_id(*fields: object) -> str:
    """Return the id of what these fields name: 16 hex digits of sha256 over them, joined by U+001F."""
    return hashlib.sha256("\x1f".join(map(str, fields)).encode()).hexdigest()[:16]


class _Clock:
    """The time of this process. It never goes back, and never stands before what the store has seen.

    The latest row of an id is the one that counts, so a machine whose clock was set back must not write rows that
    stand before those they correct.
    """

    def __init__(self) -> None:
        self.start, self.ticks = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self.start + timedelta(seconds=time.monotonic() - self.ticks)

    def not_before(self, seen: datetime) -> None:
        if self.now() <= seen:
            self.start, self.ticks = seen + timedelta(microseconds=1), time.monotonic()


_clock = _Clock()


def now() -> datetime:
    """Return the present, in UTC, as this process knows it."""
    return _clock.now()


def not_before(seen: datetime) -> None:
    """Have `now` go on from a time that the store has seen, if the machine's clock stands before it."""
    _clock.not_before(seen)


class Table(NamedTuple):
    """One table: the columns that its id is made of, and the Arrow schema of its rows."""

    name: str
    key: str
    schema: pa.Schema


def _table(name: str, key: str, about: str, /, **columns: tuple[pa.DataType, str]) -> Table:
    columns = {
        key: (STRING, "id of the row"),
        **columns,
        "run_id": (STRING, "the run that wrote the row"),
        "created": (TIME, "when the row was made"),
    }
    fields = [pa.field(n, t, metadata={"description": d}) for n, (t, d) in columns.items()]
    return Table(name, key, pa.schema(fields, metadata={"description": about}))


TABLES = {
    t.name: t
    for t in (
        _table(
            "examples",
            "example_id",
            "One measured effect a row: what knocking down `pert` does to `gene` in one cell line.",
            cell_line=(STRING, "K562, RPE1, HepG2, Jurkat, or the file's stem"),
            pert=(STRING, "symbol of the gene that is knocked down"),
            gene=(STRING, "symbol of the gene that is read out"),
            label=(STRING, "upregulated, downregulated or not differentially expressed"),
            given_side=(STRING, "train or test, as the benchmark's file says"),
            source=(STRING, "the benchmark the row comes from"),
            licence=(STRING, "licence of that benchmark"),
        ),
        _table(
            "responses",
            "response_id",
            "One call to a model a row, answered or failed, with everything that was sent and came back.",
            request_id=(STRING, "hash of all that changes the answer; the cache key"),
            subject_id=(STRING, "what the request is about: an example_id, or for a critic a trace_id"),
            stage=(STRING, "generate, grade or predict"),
            provider=(STRING, "host and port that answered, its name in the config, or rehearsal"),
            model=(STRING, "model name as asked"),
            params=(STRING, "parameters as asked, JSON"),
            messages=(MESSAGES, "what was sent"),
            sample=(INT, "number of the sample, from 0"),
            prompt=(STRING, "name of the prompt; for a generator the approach"),
            prompt_hash=(STRING, "version of the prompt: hash of its text"),
            outcome_shown=(STRING, "the outcome the model was given; null if hidden"),
            text=(STRING, "the answer; null if the call failed"),
            thinking=(STRING, "reasoning that the server sends apart, in the field reasoning_content or reasoning"),
            finish_reason=(STRING, "why the model stopped, in the API's words"),
            failure=(STRING, "null if answered, else why not, in one word"),
            detail=(STRING, "what the server said of the failure"),
            http_status=(INT, "HTTP status; null if none came"),
            tokens_in=(INT, "prompt tokens"),
            tokens_out=(INT, "completion tokens"),
            tokens_cached=(INT, "prompt tokens that the provider had cached"),
            tokens_reasoning=(INT, "hidden reasoning tokens, part of tokens_out"),
            usd=(FLOAT, "price in dollars; null = unknown"),
            seconds=(FLOAT, "from sending to the last byte"),
            attempt=(INT, "number of the try within its run, from 1"),
            origin=(
                ORIGIN,
                "what it was imported from: file (its name, or ORG/REPO/FILE), its sha256 or the commit, row from 1, "
                "licence; null if this store asked for it",
            ),
        ),
        _table(
            "traces",
            "trace_id",
            "One parsed generator answer a row.",
            request_id=(STRING, "the request it answers"),
            response_id=(STRING, "the response it was read from"),
            example_id=(STRING, "the example it explains"),
            approach=(STRING, "explain, blind or control"),
            outcome_shown=(STRING, "the outcome the generator was given; null if hidden"),
            generator=(STRING, "model name"),
            provider=(STRING, "who answered"),
            prompt_hash=(STRING, "version of the generator's prompt"),
            sample=(INT, "number of the sample, from 0"),
            reasoning=(STRING, "the text between the think tags, as the model wrote it"),
            answer=(STRING, "a label or I do not know; null if invalid"),
            think=(STRING, "state of the reasoning: ok, unopened, field, or what is wrong with it"),
            reason=(STRING, "why the answer is invalid; null if valid"),
            valid=(BOOL, "whether a dataset may hold it: an answer, and reasoning that is whole and holds no tag"),
            parser=(STRING, "version of the reader"),
        ),
        _table(
            "grades",
            "grade_id",
            "One critic's judgement of one trace a row.",
            request_id=(STRING, "the request it answers"),
            trace_id=(STRING, "the trace that was graded"),
            critic=(STRING, "model@prompt hash"),
            provider=(STRING, "who answered"),
            grade=(STRING, "excellent, good, average, bad or terrible; null if invalid"),
            justification=(STRING, "the critic's words"),
            reason=(STRING, "why the grade is invalid; null if valid"),
            response_id=(STRING, "the response it was read from"),
        ),
        _table(
            "checks",
            "check_id",
            "What the checks found in one trace a row, a version of the checks; null: nothing found, else the words.",
            trace_id=(STRING, "the trace that was checked"),
            version=(STRING, "version of the checks: their rules, their patterns, the hashing of the signature"),
            tokens=(INT, "estimated tokens of the reasoning (docs/checks.md); null if there is none"),
            signature=(pa.list_(INT), "MinHash of the reasoning's runs of three words: 120 numbers of 32 bits"),
            answer_leak=(STRING, "words that say that the outcome was given, or that state it before all reasons"),
            genes_missing=(STRING, "which of the two genes the reasoning never names"),
            wrong_line=(STRING, "other cell lines that the reasoning names, where it never names the right one"),
            contradiction=(STRING, "the sentence by which the reasoning argues for another outcome than it answers"),
            cut_off=(STRING, "finish_reason and last words of an answer that the model was not let finish"),
            after_conclusion=(STRING, "what the reasoning goes on to say after its conclusion"),
        ),
        _table(
            "exclusions",
            "exclusion_id",
            "One run or trace hidden from every view, or shown again, a row; the latest counts.",
            kind=(STRING, "run or trace"),
            subject=(STRING, "the run_id or trace_id"),
            hidden=(BOOL, "true hides it, false takes that back"),
            reason=(STRING, "why, in the words of who did it"),
        ),
        _table(
            "predictions",
            "prediction_id",
            "One answer of an evaluated model on an example a row.",
            example_id=(STRING, "the example"),
            request_id=(STRING, "the request it answers; null if it was read from a file"),
            task=(STRING, "what was asked, such as three-class; null if the file does not say"),
            model=(STRING, "the model, as its file or its server names it"),
            dataset=(STRING, "the dataset that was predicted, with its version; null if not said"),
            answer=(STRING, "a label or I do not know; null if invalid"),
            p_up=(FLOAT, "probability of upregulated, 0 to 1; null if not scored"),
            p_down=(FLOAT, "probability of downregulated"),
            p_none=(FLOAT, "probability of not differentially expressed"),
            score_kind=(STRING, "how the probabilities were found; null if not scored"),
            reasoning=(STRING, "what the model wrote before its answer"),
            reason=(STRING, "why the answer is invalid; null if valid"),
        ),
        _table(
            "clauses",
            "clause_id",
            "One span of a text that an expert can judge a row.",
            subject=(STRING, "trace, prediction, or planted: put in the place of a clause, to measure the experts"),
            subject_id=(STRING, "id of that trace or prediction; of a planted one, of the text it stands in"),
            n=(INT, "place among the clauses of its text, from 0"),
            start_char=(INT, "first character, in the exact stored text; of a planted one, of what it stands for"),
            end_char=(INT, "one past the last character"),
            text=(STRING, "the clause"),
            segmenter=(STRING, "version of the segmenter"),
        ),
        _table(
            "rounds",
            "round_id",
            "One review by experts a row: what was sampled, and where it lies.",
            name=(STRING, "name of the round"),
            server=(STRING, "address of the Argilla server"),
            workspace=(STRING, "workspace there"),
            dataset_id=(STRING, "id of the dataset there; null until it is made, or if everybody judges all"),
            everybody_id=(STRING, "id of the dataset whose clauses every annotator judges; null if there is none"),
            scheme=(STRING, "how its clauses were drawn, JSON: the options of the push"),
            annotators=(INT, "verdicts wanted for each clause"),
            last_word=(STRING, "the annotator (id of the user) whose verdict settles a clause; null: the majority"),
            guidelines=(STRING, "version of the guidelines: hash of their text"),
        ),
        _table(
            "placed",
            "placed_id",
            "One clause of a round a row.",
            round=(STRING, "name of the round"),
            clause_id=(STRING, "the clause"),
            place=(INT, "its place in the order of the round; the clauses of a text stand together"),
            everybody=(BOOL, "whether every annotator is to judge it, so that agreement can be measured"),
            truth=(STRING, "TRUE or FALSE where that is known, so that annotators can be measured; null otherwise"),
        ),
        _table(
            "verdicts",
            "verdict_id",
            "One expert's answer about one clause a row; a change of mind is a new row.",
            clause_id=(STRING, "the clause"),
            round=(STRING, "name of the review round"),
            annotator=(STRING, "the expert: id of the user on the server, which a new name does not change"),
            annotator_name=(STRING, "the user's name at the time"),
            verdict=(STRING, "TRUE, FALSE or UNVERIFIABLE; null in a draft or discard without one"),
            level=(STRING, "what the claim is about: gene, pathway, context, experiment or other; null if not said"),
            note=(STRING, "the expert's note"),
            status=(STRING, "submitted, draft or discarded; deleted where the answer is gone from the server"),
            answered=(TIME, "when the server last changed the answer"),
        ),
        _table(
            "versions",
            "version_id",
            "One published or publishable version a row.",
            name=(STRING, "name of the dataset"),
            version=(STRING, "semantic version"),
            recipe=(STRING, "name of the recipe"),
            recipe_sql=(STRING, "its text"),
            params=(STRING, "its parameters, JSON"),
            tables=(STRING, "the store it was built from, JSON: table -> Delta version"),
            row_hash=(STRING, "sha256 over all rows, whatever the files look like"),
            rows=(INT, "rows in all splits and sides"),
            manifest=(STRING, "its manifest.json: what it is rebuilt from and checked against"),
            published_to=(STRING, "repository; null if not published"),
            commit_sha=(STRING, "commit there; null if not published"),
        ),
        _table(
            "members",
            "member_id",
            "One train or validation row of a version a row. Test rows are named by the split itself.",
            name=(STRING, "name of the dataset"),
            version=(STRING, "semantic version"),
            split=(STRING, "default, rpe1_holdout or unseen_pert"),
            side=(STRING, "train or validation"),
            trace_id=(STRING, "the trace; null for a row without reasoning"),
            example_id=(STRING, "the example"),
            weight=(FLOAT, "weight that the recipe gave"),
        ),
        _table(
            "findings",
            "finding_id",
            "What a command of another room measured of a version a row, for its card; the latest counts.",
            name=(STRING, "name of the dataset"),
            version=(STRING, "semantic version"),
            room=(STRING, "the room that measured it, such as eval"),
            finding=(STRING, "what was measured, such as audit"),
            split=(STRING, "the split it is about"),
            value=(STRING, "what was found, JSON"),
        ),
        _table(
            "migrations",
            "migration_id",
            "One change of the store's shape a row.",
            number=(INT, "its number, from 1"),
            name=(STRING, "what it did"),
        ),
        _table(
            "runs",
            "run_id",
            "A command's start and end, a row each; the view has the latest.",
            command=(STRING, "the verb"),
            args=(STRING, "its options, JSON"),
            code=(STRING, "version of synthpert"),
            user_name=(STRING, "who ran it"),
            host=(STRING, "where"),
            started=(TIME, "start"),
            ended=(TIME, "end; null while it runs"),
            state=(STRING, "running, done, stopped, failed or killed"),
        ),
    )
}

# The order to open tables in: the parents stand first above, so that read from the end no grade is ever seen whose
# trace is not. Tables share no snapshot.
CHILD_FIRST = tuple(reversed(TABLES))
