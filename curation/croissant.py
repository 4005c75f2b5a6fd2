"""Croissant: a version described for machines, in the JSON-LD of MLCommons with its responsible-AI fields.

Source: the Croissant Format Specification 1.0 and the Croissant RAI Specification 1.0 (docs.mlcommons.org/croissant).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from curation import reviews, rows
from curation.folders import File
from curation.metadata import TAGS, Part
from datasets_cards import templates

HUB = "https://huggingface.co/datasets"
PARQUET = "application/x-parquet"
TYPES = {pa.string(): "sc:Text", pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.bool_(): "sc:Boolean"}
CONFORMS = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        word: f"cr:{word}"
        for word in (
            "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet",
            "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
            "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
            "transform",
        )
    },
}  # fmt: skip


def croissant(told: Mapping[str, Any], parts: Sequence[Part], files: Mapping[str, File]) -> dict[str, Any]:
    """Return the description as JSON-LD.

    Each Parquet file is a FileObject with its sha256, each config a FileSet and a RecordSet, whose field `side` says
    which side a row is on. Paths are relative to the file itself, or where the repository is known, addresses there.

    Args:
        told: what the card says (`cards`).
        parts: the configs.
        files: the Parquet files by path.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": told["name"],
        "version": told["version"],
        "description": _description(told),
        "license": [f"{source}: {licence}" for source, licence in told["sources"]],
        "inLanguage": ["en"],
        "keywords": TAGS,
        "datePublished": told["created"],
        "dateCreated": told["created"],
        "citeAs": _cite(told),
        **_address(told["repo"]),
        **responsible(told),
        "distribution": [*_objects(files, told), *map(_set, parts)],
        "recordSet": [record for part in parts for record in (_sides(part), _records(part))],
    }


def responsible(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the responsible-AI fields, filled from what the card says."""
    import yaml

    # a line of YAML must stay one, whatever is filled in
    made = templates(lstrip_blocks=False, finalize=lambda v: " ".join(v.splitlines()) if isinstance(v, str) else v)
    made.filters |= {"n": "{:,}".format, "interval": str}
    found = yaml.safe_load(made.get_template("responsible.yaml.j2").render(told))
    return {f"rai:{name}": _lean(value) for name, value in found.items()}


def _lean(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else [_lean(v) for v in value]


def _description(told: Mapping[str, Any]) -> str:
    what = "Reasoning traces" if told["generators"] else "Questions and answers"
    said = f"{what} for predicting what a CRISPRi knock-down of one gene does to the expression of another."
    return f"Simulated. {told['simulated']} {said}" if told["simulated"] else said


def _cite(told: Mapping[str, Any]) -> str:
    fields = {
        "title": f"{told['name']} {told['version']}",
        "year": told["created"][:4],
        "note": f"rows sha256:{told['row_hash']}",
    }
    return f"@misc{{{told['name']}, {', '.join(f'{k} = {{{v}}}' for k, v in fields.items())}}}"


def _address(repo: str | None) -> dict[str, Any]:
    if repo is None:
        return {}
    return {"url": f"{HUB}/{repo}", "creator": {"@type": "sc:Organization", "name": repo.split("/")[0]}}


def _objects(files: Mapping[str, File], told: Mapping[str, Any]) -> list[dict[str, Any]]:
    base = f"{HUB}/{told['repo']}/resolve/v{told['version']}/" if told["repo"] else ""
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": base + path,
            "contentSize": f"{file.size} B",
            "encodingFormat": PARQUET,
            "sha256": file.sha256,
        }
        for path, file in files.items()
    ]


def _set(part: Part) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{part.name}-files",
        "name": f"{part.name}-files",
        "encodingFormat": PARQUET,
        "includes": f"{part.name}/*.parquet",
    }


def _sides(part: Part) -> dict[str, Any]:
    """Return the names of a config's sides, as the specification wants splits told."""
    key = f"{part.name}-sides/name"
    return {
        "@type": "cr:RecordSet",
        "@id": f"{part.name}-sides",
        "name": f"{part.name}-sides",
        "dataType": "cr:Split",
        "key": {"@id": key},
        "field": [{"@type": "cr:Field", "@id": key, "name": "name", "dataType": "sc:Text"}],
        "data": [{key: side} for side in part.sides],
    }


def _records(part: Part) -> dict[str, Any]:
    columns = reviews.COLUMNS if part.name == "annotations" else rows.COLUMNS
    schema = next(iter(part.sides.values())).schema
    side = {
        "@type": "cr:Field",
        "@id": f"{part.name}/side",
        "name": "side",
        "description": ", ".join(part.sides),
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"{part.name}-files"},
            "extract": {"fileProperty": "fullpath"},
            # optional parts: mlcroissant also holds it against what it has found, and makes globs of it
            "transform": {"regex": f"(?:{part.name}/)?(train|validation|test)(?:-.+parquet)?$"},
        },
        "references": {"field": {"@id": f"{part.name}-sides/name"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": part.name,
        "name": part.name,
        "description": f"{sum(t.num_rows for t in part.sides.values()):,} rows, sha256 {part.hash}",
        "field": [side, *(_field(part.name, f, columns[f.name][1]) for f in schema)],
    }


def _field(config: str, column: pa.Field, about: str) -> dict[str, Any]:
    """Return a column; one of lists of structs as repeated sub-fields."""
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{config}/{column.name}",
        "name": column.name,
        "description": about,
    }
    if not pa.types.is_list(column.type):
        return found | {"dataType": TYPES[column.type], "source": _source(config, column.name)}
    inner = [
        {
            "@type": "cr:Field",
            "@id": f"{config}/{column.name}/{part.name}",
            "name": part.name,
            "dataType": TYPES[part.type],
            "source": _source(config, column.name) | {"transform": {"jsonPath": part.name}},
        }
        for part in column.type.value_type.fields
    ]
    return found | {"repeated": True, "subField": inner}


def _source(config: str, column: str) -> dict[str, Any]:
    return {"fileSet": {"@id": f"{config}-files"}, "extract": {"column": column}}
