"""Argilla's filters, orders and text queries as SQL over the server's own SQLite tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from argilla_server.models import Question, Record, Response, Suggestion
from argilla_server.search_engine.base import (
    AndFilter,
    MetadataFilterScope,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TermsFilter,
)
from sqlalchemy import Float, String, and_, cast, exists, false, func, literal, not_, or_, select, true

FOLD = "fold"  # str.casefold, which run.py gives to SQLite, whose own lower() knows ASCII alone
ORDER = "order"  # metadata that, where records have it, keeps the clauses of a trace together
_WORD = re.compile(r'(-?)(?:"([^"]+)"|(\S+))')


def where(given: Any) -> Any:
    """Return the condition on records that a filter sets.

    Raises:
        ValueError: a scope that this engine does not know.
    """
    if isinstance(given, AndFilter):
        return and_(true(), *(where(one) for one in given.filters))
    for scope, condition in (
        (RecordFilterScope, _on_record),
        (MetadataFilterScope, _on_metadata),
        (SuggestionFilterScope, _on_suggestion),
        (ResponseFilterScope, _on_response),
    ):
        if isinstance(given.scope, scope):
            return condition(given)
    raise ValueError(f"no filter is known for {given.scope}")


def order(given: Any) -> list[Any]:
    """Return the columns that records are sorted by; those of equal rank by upload, so that pages never overlap.

    With nothing to sort by: by the metadata `order`, then by upload. Argilla on Elasticsearch shuffles them anew for
    each annotator, which takes the clauses of a trace apart.
    """
    asked = [_sorted(_sort_column(one.scope), str(getattr(one.order, "value", one.order))) for one in given or ()]
    return [*(asked or [_sorted(_metadata(ORDER), "asc")]), Record.inserted_at.asc(), Record.id.asc()]


def text(query: Any) -> Any:
    """Return the condition that a text query sets: each word stands somewhere in a field, whatever the case.

    "quoted words" stand together, and -word nowhere.
    """
    if query is None:
        return true()
    asked, field = (query, None) if isinstance(query, str) else (query.q, query.field)
    found: list[Any] = []
    for minus, quoted, word in _WORD.findall(asked):
        words = quoted or word.strip("*()+|~")  # Elasticsearch's signs, which mean nothing here
        if words:
            has = _in_a_field(words, field, len(found))
            found.append(not_(has) if minus else has)
    return and_(true(), *found)


def _in_a_field(words: str, field: str | None, number: int) -> Any:
    """Look at decoded values: the raw JSON holds escapes in the place of letters such as β."""
    each = func.json_each(Record.fields).table_valued("key", "value", name=f"field{number}")
    has = select(1).select_from(each).where(func.instr(func.fold(each.c.value), words.casefold()) > 0)
    if field:
        has = has.where(each.c.key == field)
    return has.correlate(Record).exists()


def _on_record(given: Any) -> Any:
    column = getattr(Record, given.scope.property)
    if isinstance(given, TermsFilter):
        return column.in_([UUID(str(v)) for v in given.values] if given.scope.property == "id" else given.values)
    return _between(column, _moment(given.ge), _moment(given.le))


def _on_metadata(given: Any) -> Any:
    return _of_json(Record.metadata_, f'$."{given.scope.metadata_property}"', given)


def _on_suggestion(given: Any) -> Any:
    of_question = select(Suggestion.id).join(Question, Question.id == Suggestion.question_id)
    of_question = of_question.where(Suggestion.record_id == Record.id, Question.name == given.scope.question)
    what = given.scope.property or "value"
    if what in ("agent", "type"):
        return exists(of_question.where(getattr(Suggestion, what).in_(given.values)))
    return exists(of_question.where(_of_json(getattr(Suggestion, what), "$", given)))


def _on_response(given: Any) -> Any:
    theirs = [Response.record_id == Record.id]
    if given.scope.user is not None:
        theirs.append(Response.user_id == given.scope.user.id)
    if given.scope.question:
        return exists(
            select(Response.id).where(*theirs, _of_json(Response.values, f'$."{given.scope.question}".value', given))
        )
    wanted = {str(getattr(v, "value", v)) for v in given.values}
    pending = not_(exists(select(Response.id).where(*theirs))) if "pending" in wanted else false()
    return or_(pending, exists(select(Response.id).where(*theirs, Response.status.in_(wanted - {"pending"}))))


def _of_json(column: Any, path: str, given: Any) -> Any:
    """Return whether what lies at a path of JSON, or one of a list there, is as a filter has it."""
    each = func.json_each(column, path).table_valued("value", name="each")
    if isinstance(given, TermsFilter):
        fits = cast(each.c.value, String).in_([str(v) for v in given.values])
    else:  # a bound may come as text
        low, high = (None if bound is None else cast(literal(str(bound)), Float) for bound in (given.ge, given.le))
        fits = _between(cast(each.c.value, Float), low, high)
    return select(1).select_from(each).where(fits).correlate(Record, Response, Suggestion).exists()


def _between(column: Any, low: Any, high: Any) -> Any:
    return and_(true(), *([column >= low] if low is not None else []), *([column <= high] if high is not None else []))


def _moment(value: Any) -> Any:
    """Return a time as the tables have it, in UTC without saying so; requests bring ISO text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def _metadata(name: str) -> Any:
    return func.json_extract(Record.metadata_, f'$."{name}"')  # numbers stay numbers


def _sort_column(scope: Any) -> Any:
    if isinstance(scope, RecordFilterScope):
        return getattr(Record, scope.property)
    if isinstance(scope, MetadataFilterScope):
        return _metadata(scope.metadata_property)
    if isinstance(scope, SuggestionFilterScope):
        best = select(func.max(getattr(Suggestion, scope.property or "value"))).join(Question)
        best = best.where(Suggestion.record_id == Record.id, Question.name == scope.question)
        return best.correlate(Record).scalar_subquery()
    value = func.json_extract(Response.values, f'$."{scope.question}".value') if scope.question else Response.status
    theirs = [Response.user_id == scope.user.id] if scope.user is not None else []
    return select(func.max(value)).where(Response.record_id == Record.id, *theirs).correlate(Record).scalar_subquery()


def _sorted(column: Any, way: str) -> Any:
    return (column.desc() if way == "desc" else column.asc()).nulls_last()
