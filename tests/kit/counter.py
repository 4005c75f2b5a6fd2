"""A process that counts in a store, each time from the number that it was shown: python counter.py STORE NAME TIMES."""

import sys

from curation.arrow import from_rows
from curation.schema import TABLES, content_id, now
from curation.store import Store

place, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(place)
for turn in range(times):

    def one_more(number):
        row = {"grade_id": content_id(name, turn), "trace_id": str(number + 1), "created": now()}  # noqa: B023
        return from_rows([row], TABLES["grades"].schema), number + 1

    assert store.append_once("grades", "counter", one_more) == 1
