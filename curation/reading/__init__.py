"""Read what a language model wrote, the way a careful person would.

Nothing is guessed: a text without one plain answer gets the reason why instead of a label. The rules are held by
tests/cases/parse_cases.jsonl and tests/test_reading.py; a change of any of them raises PARSER, which is stored
with every reading.
"""

from curation.reading.answers import ABSTAIN, LABELS, TraceReading, is_valid, read_trace
from curation.reading.evaluations import GRADES, GradeReading, read_grade

PARSER = "1"

__all__ = [
    "ABSTAIN",
    "GRADES",
    "LABELS",
    "PARSER",
    "GradeReading",
    "TraceReading",
    "is_valid",
    "read_grade",
    "read_trace",
]
