"""A review on an annotation server, made and answered over its HTTP API, as Argilla's pages and client do."""

from itertools import count

LABELS = ["TRUE", "FALSE", "UNVERIFIABLE"]
_number = count()


def dataset(served, records, min_submitted=1, vectors=0):
    """Make and fill a dataset of clauses; returns its id. A record is (id, clause, metadata)."""
    place = next(w for w in served.ask("GET", "api/v1/me/workspaces")["items"] if w["name"] == served.workspace)
    kept = {"strategy": "overlap", "min_submitted": min_submitted}
    made = {"name": f"review-{next(_number)}", "workspace_id": place["id"], "distribution": kept}
    id_ = served.ask("POST", "api/v1/datasets", made)["id"]
    add = lambda what, **body: served.ask("POST", f"api/v1/datasets/{id_}/{what}", body)  # noqa: E731
    for name in ("clause", "trace"):
        add("fields", name=name, title=name, required=True, settings={"type": "text", "use_markdown": False})
    options = [{"value": label, "text": label} for label in LABELS]
    add("questions", name="verdict", title="v", required=True, settings={"type": "label_selection", "options": options})
    for name, kind in {"trace_id": "terms", "genes": "terms", "order": "integer", "p": "float"}.items():
        add("metadata-properties", name=name, title=name, settings={"type": kind}, visible_for_annotators=True)
    add("metadata-properties", name="hidden", title="h", settings={"type": "terms"}, visible_for_annotators=False)
    if vectors:
        add("vectors-settings", name="v", title="v", dimensions=vectors)
    served.ask("PUT", f"api/v1/datasets/{id_}/publish")
    items = [
        {"external_id": name, "fields": {"clause": clause, "trace": f"All of {name}"}, "metadata": metadata}
        for name, clause, metadata in records
    ]
    served.ask("POST", f"api/v1/datasets/{id_}/records/bulk", {"items": items})
    return id_


def ids(served, dataset_id):
    """The server's id of each record, by its own."""
    page = served.ask("GET", f"api/v1/datasets/{dataset_id}/records?limit=1000")
    return {record["external_id"]: record["id"] for record in page["items"]}


def answer(served, record_id, token, verdict="TRUE", status="submitted"):
    body = {"values": {"verdict": {"value": verdict}} if verdict else None, "status": status}
    return served.ask("POST", f"api/v1/records/{record_id}/responses", body, token)


def search(served, dataset_id, token=None, text=None, field=None, filters=(), sort=(), page="limit=100"):
    """The ids of the records found, in order: for the owner, or for the annotator whose token is given."""
    body = {"query": {"text": {"q": text, "field": field}}} if text else {}
    body |= {"filters": {"and": list(filters)}} if filters else {}
    body |= {"sort": list(sort)} if sort else {}
    me = "me/" if token else ""
    found = served.ask("POST", f"api/v1/{me}datasets/{dataset_id}/records/search?{page}", body, token)
    return [item["record"]["external_id"] for item in found["items"]], found["total"]


def terms(scope, *values):
    return {"type": "terms", "scope": scope, "values": list(values)}


def between(scope, ge=None, le=None):
    return {"type": "range", "scope": scope, **{k: v for k, v in {"ge": ge, "le": le}.items() if v is not None}}


def by(scope, way="asc"):
    return {"scope": scope, "order": way}


def metadata(name):
    return {"entity": "metadata", "metadata_property": name}


def record(name):
    return {"entity": "record", "property": name}


def response(question=None):
    return {"entity": "response", "question": question} if question else {"entity": "response", "property": "status"}


def suggestion(what):
    return {"entity": "suggestion", "question": "verdict", "property": what}
