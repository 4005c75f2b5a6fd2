"""Metadata: the YAML at the head of a card, by which the Hub and its viewer know what a dataset is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from curation.folders import File
from curation.reviews import Review
from curation.rows import Config
from curation.schema import REHEARSAL

TAGS = ["synthetic", "reasoning", "biology", "genomics", "perturbation", "crispri"]
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}


class Part(NamedTuple):
    """What the Hub calls a config: a split's rows by side, or what experts said of them."""

    name: str
    hash: str
    sides: Mapping[str, pa.Table]


def parts(configs: Sequence[Config], review: Review | None) -> list[Part]:
    """Return the configs of a version."""
    found = [Part(c.split, c.hash, c.sides) for c in configs]
    return found + ([Part("annotations", review.hash, {"train": review.rows})] if review else [])


def header(name: str, told: Sequence[Part], files: Mapping[str, File], sources: Sequence[tuple[str, str]]) -> str:
    """Return the YAML.

    Args:
        name: name of the dataset.
        told: its configs.
        files: its Parquet files by path.
        sources: benchmark and licence of its examples.
    """
    import yaml

    judged = any(part.name == "annotations" for part in told)
    head = {
        "pretty_name": name,
        "license": "other",
        "license_name": _slug("-and-".join(licence for _, licence in sources)),
        "language": ["en"],
        "task_categories": ["text-generation", "question-answering"],
        "size_categories": [_size(sum(rows.num_rows for part in told for rows in part.sides.values()))],
        "annotations_creators": ["machine-generated", *(["expert-generated"] if judged else [])],
        "source_datasets": sorted({_source(source) for source, _ in sources}),
        "tags": [*TAGS, *(["simulated"] if REHEARSAL in dict(sources) else [])],
        "configs": [_config(part) for part in told],
        "dataset_info": [_info(part, files) for part in told],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()


def _config(part: Part) -> dict[str, Any]:
    files = [{"split": side, "path": f"{part.name}/{side}-*.parquet"} for side in part.sides]
    return {"config_name": part.name, "data_files": files} | ({"default": True} if part.name == "default" else {})


def _info(part: Part, files: Mapping[str, File]) -> dict[str, Any]:
    """Return a config's columns and sizes.

    Its description holds the hash of its rows: `datasets` caches a local folder by its name and this block, and would
    otherwise hand out another folder's rows, or yesterday's.
    """
    sides = [{"name": s, "num_examples": t.num_rows, "num_bytes": t.nbytes} for s, t in part.sides.items()]
    return {
        "config_name": part.name,
        "description": f"rows sha256:{part.hash}",
        "features": _features(next(iter(part.sides.values())).schema),
        "splits": sides,
        "download_size": sum(file.size for path, file in files.items() if path.startswith(f"{part.name}/")),
        "dataset_size": sum(s["num_bytes"] for s in sides),
    }


def _features(schema: pa.Schema) -> Any:
    from datasets import Features

    # a copy each, or YAML writes a reference
    return orjson.loads(orjson.dumps(Features.from_arrow_schema(schema)._to_yaml_list()))


def _size(rows: int) -> str:
    """Return the Hub's word for a number of rows, those of all configs together."""
    return next((word for upto, word in SIZES.items() if rows < upto), "10M<n<100M")


def _source(source: str) -> str:
    """Return what an example was taken from in the Hub's terms; what was made up has no other source."""
    return "original" if source == REHEARSAL else f"extended|other-{_slug(source)}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
