"""A search engine for argilla-server without an index: it asks the server's own tables.

So it needs no Elasticsearch, a restart loses nothing, and a search sees each answer as soon as it is written.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from argilla_server.database import AsyncSessionLocal
from argilla_server.enums import MetadataPropertyType, SimilarityOrder
from argilla_server.models import Record, Response, Vector
from argilla_server.search_engine.base import (
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TermsMetrics,
)
from sqlalchemy import func, select, true

from . import filters  # this folder's own name is another in that environment

NAME = "tables"


@SearchEngine.register(NAME)
class Tables(SearchEngine):
    """Argilla's search interface (argilla_server.search_engine.base), whose methods these are."""

    @classmethod
    async def new_instance(cls) -> Tables:
        """Return an engine; it holds nothing."""
        return cls()

    async def ping(self) -> bool:
        """Tell that it answers."""
        return True

    async def info(self) -> dict:
        """Tell what it is."""
        return {"name": NAME, "version": {"number": "1"}}

    async def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is no index to keep."""

    close = create_index = delete_index = configure_metadata_property = configure_index_vectors = _nothing
    index_records = partial_record_update = delete_records = _nothing
    update_record_response = delete_record_response = _nothing
    update_record_suggestion = delete_record_suggestion = _nothing

    async def get_dataset_progress(self, dataset: Any) -> dict:
        """Count the records by status."""
        counted = select(Record.status, func.count()).where(Record.dataset_id == dataset.id)
        return await _counts(counted.group_by(Record.status))

    async def get_dataset_user_progress(self, dataset: Any, user: Any) -> dict:
        """Count a user's responses by status."""
        counted = select(Response.status, func.count()).join(Record)
        counted = counted.where(Record.dataset_id == dataset.id, Response.user_id == user.id)
        return await _counts(counted.group_by(Response.status))

    async def search(
        self,
        dataset: Any,
        query: Any = None,
        filter: Any = None,  # noqa: A002 - the interface's name
        sort: Any = None,
        offset: int = 0,
        limit: int = 100,
        user_id: Any = None,  # not in the interface, but annotators' searches pass it, to be shuffled by
    ) -> SearchResponses:
        """Return a page of the records that fit, in order."""
        fit = _fit(dataset, query, filter)
        page = select(Record.id).where(*fit).order_by(*filters.order(sort)).offset(offset).limit(limit)
        async with AsyncSessionLocal() as db:
            total = await db.scalar(select(func.count()).select_from(Record).where(*fit))
            ids = (await db.scalars(page)).all()
        return SearchResponses(items=[SearchResponseItem(record_id=i, score=1.0) for i in ids], total=total)

    async def compute_metrics_for(self, metadata_property: Any) -> Any:
        """Return what the filter menu shows of a metadata property: its terms, or its smallest and largest number."""
        each = func.json_each(Record.metadata_, f'$."{metadata_property.name}"').table_valued("value", name="each")
        values = select(each.c.value).select_from(Record).join(each, true())
        values = values.where(Record.dataset_id == metadata_property.dataset_id, each.c.value.is_not(None))
        async with AsyncSessionLocal() as db:
            found = (await db.scalars(values)).all()
        if metadata_property.type == MetadataPropertyType.terms:
            terms = Counter(str(value) for value in found).most_common()
            counts = [TermsMetrics.TermCount(term=term, count=n) for term, n in terms]
            return TermsMetrics(total=len(found), values=counts)
        whole = metadata_property.type == MetadataPropertyType.integer
        made = IntegerMetadataMetrics if whole else FloatMetadataMetrics
        return made(min=min(found, default=None), max=max(found, default=None))

    async def similarity_search(
        self,
        dataset: Any,
        vector_settings: Any,
        value: Any = None,
        record: Any = None,
        query: Any = None,
        filter: Any = None,  # noqa: A002 - the interface's name
        max_results: int = 100,
        order: Any = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> SearchResponses:
        """Return the records whose vectors have the largest, or smallest, cosine with a vector."""
        wanted = value or record.vector_value_by_vector_settings(vector_settings)
        fit = [*_fit(dataset, query, filter), Vector.vector_settings_id == vector_settings.id]
        if record is not None:
            fit.append(Record.id != record.id)
        async with AsyncSessionLocal() as db:
            rows = (await db.execute(select(Record.id, Vector.value).join(Vector).where(*fit))).all()
        scored = sorted(((_cosine(wanted, v), i) for i, v in rows), key=lambda one: one[0])
        if order == SimilarityOrder.most_similar:
            scored.reverse()
        kept = [(score, i) for score, i in scored if threshold is None or score >= threshold]
        items = [SearchResponseItem(record_id=i, score=score) for score, i in kept[:max_results]]
        return SearchResponses(items=items, total=len(kept))


def _fit(dataset: Any, query: Any, given: Any) -> list[Any]:
    return [Record.dataset_id == dataset.id, filters.text(query), *([filters.where(given)] if given else [])]


async def _counts(query: Any) -> dict:
    async with AsyncSessionLocal() as db:
        found = {str(status.value): n for status, n in (await db.execute(query)).all()}
    return {"total": sum(found.values()), **found}


def _cosine(a: list[float], b: list[float]) -> float:
    lengths = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths or 1.0)
