"""A process that appends batches to a store until it is told to stop: python appender.py STORE NAME BATCHES ROWS."""

import sys

import pyarrow as pa

from curation.schema import TABLES, content_id, now
from curation.store import Store

place, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = Store(place)
for batch in range(batches):
    rows = [
        {"grade_id": content_id(name, batch, i), "trace_id": f"{name}-{batch}", "grade": "good", "created": now()}
        for i in range(size)
    ]
    store.append("grades", pa.Table.from_pylist(rows, TABLES["grades"].schema))
    print(batch, flush=True)
