"""How well the checks do: on cases written by hand, and on the planted world, counted check by check."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from curation.checks import NAMES, check_trace
from curation.prompting import load
from curation.rehearsal.faults import FAULTS
from curation.rehearsal.world import the_world
from curation.rehearsal.writer import ABSTAIN, Planted, answer, fault_of

CASES = Path(__file__).parent.parent / "cases" / "check_cases.jsonl"
PLANTED = Planted(faults=0.35, lookalikes=0.5)


def case_counts():
    """Counts by check over the hand-written cases, and the (case, check) pairs that are told wrongly."""
    counts, wrong = defaultdict(Counter), []
    for case in map(json.loads, CASES.read_text("utf-8").splitlines()):
        found = check_trace({**case, "label": case["answer"], "outcome_shown": case["answer"]})
        for name in NAMES:
            got, wanted = found[name] is not None, name in case["found"]
            counts[name][got, wanted] += 1
            wrong += [(case["id"], name)] * (got != wanted)
    return counts, wrong


def planted_counts():
    """Counts by check over explanations of every second row of two measurements of the planted world."""
    counts, prompt = defaultdict(Counter), load("explain")
    for row in [row for seed in (0, 1) for row in the_world().rows(seed)][::2]:
        messages = prompt.messages(pert=row.pert, gene=row.gene, cell_line=row.line, outcome=row.label)
        fault, text = (work(messages, 0, "m", PLANTED) for work in (fault_of, answer))
        body, said = re.fullmatch(r"<think>(.*?)(?:</think><answer>(.*)</answer>)?", text, re.S).groups()
        if said == ABSTAIN:
            continue
        trace = {"pert": row.pert, "gene": row.gene, "cell_line": row.line, "label": row.label, "answer": said}
        more = {"outcome_shown": row.label, "reasoning": body, "finish_reason": "stop" if said else "length"}
        found = check_trace(trace | more)
        for name in NAMES if said else ("cut_off",):
            counts[name][found[name] is not None, fault == name] += 1
    return counts


def table(counts):
    """The counts as the page on checks has them."""
    rows = ["| check | has it | found | found where it is not | precision | recall |", "|---|---|---|---|---|---|"]
    for name in NAMES:
        hit, false, missed = (counts[name][key] for key in ((True, True), (True, False), (False, True)))
        figures = f"{hit / (hit + false):.2f} | {hit / (hit + missed):.2f}"
        rows.append(f"| `{name}` | {hit + missed} | {hit} | {false} | {figures} |")
    return "\n".join(rows)


assert set(NAMES) | {"near_duplicate"} == set(FAULTS)
