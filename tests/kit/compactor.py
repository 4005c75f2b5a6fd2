"""A process that compacts a store's tables in a loop: python compactor.py STORE SECONDS."""

import sys
import time

from curation import store as module
from curation.store import Store

module.COMPACT_ABOVE = 1
store, end = Store(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    store.compact()
