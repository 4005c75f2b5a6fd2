"""A planted world: invented genes whose effects on each other are known, and a benchmark that measures them.

A knock-down lowers what the gene activates, raises what it represses, and destabilises its complex; all else stays.
So a test can say of every label, and of every sentence that the scripted model writes, whether it is true.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from curation.rehearsal.statements import Statement, read

LINES = ("K562", "RPE1", "HepG2", "Jurkat")
UP, DOWN, UNCHANGED = "upregulated", "downregulated", "not differentially expressed"
EFFECTS = {"raises": UP, "lowers": DOWN, "spares": UNCHANGED}
SIGNS = {"activates": 1, "represses": -1}

KINDS, PATHS = ("amber", "copper", "lantern", "willow"), ("relay", "shuttle", "loop")
PATHWAYS = tuple(f"{kind} {path}" for kind in KINDS for path in PATHS)
FUNCTIONS = ("kinase", "chaperone", "helicase", "transporter", "ligase", "scaffold protein", "splicing factor")
PERTS, REGULATORS, TARGETS = 60, 24, 204  # genes by their part; each pathway has 5, 2 and 17 of them
DIRECT = 6  # targets outside its pathway that a perturbed gene acts on itself, half of them activated
MEMBERS = 3  # targets in a complex, beside two perturbed genes
SILENT = {"perts": 12, "regulators": 3, "targets": 20}  # genes that a line does not express

# The real benchmark's figures (84,550 of 614,479 pairs change; 18.9 % of the rows are test).
SHARES = {UNCHANGED: 0.86, DOWN: 0.075, UP: 0.065}
READ_OUT, TEST_PERTS = 18, 9  # rows of a perturbation; perturbations of a line that are test, of 48
NOISE = 0.08  # share of labels drawn anew from SHARES, which leaves the shares as they are: 2 % of labels are wrong


class Mechanism(NamedTuple):
    """What links a pair in a line: none, direct, complex or cascade; its effect, a label; what is true of it."""

    kind: str
    effect: str
    steps: tuple[Statement, ...]


class Row(NamedTuple):
    """A row of the benchmark."""

    line: str
    pert: str
    gene: str
    label: str
    side: str


class World:
    """The genes, and what is true of them. The same seed plants the same world."""

    def __init__(self, seed: int = 0) -> None:
        rng = random.Random(seed)
        # HGNC has approved no symbol that begins with QX
        names = [f"QX{letter}{n}" for letter in "ABDEFGHJKL" for n in range(10, 100)]
        names = rng.sample(names, PERTS + REGULATORS + TARGETS)
        self.perts, self.targets = sorted(names[:PERTS]), sorted(names[PERTS + REGULATORS :])
        self.regulators = sorted(names[PERTS : PERTS + REGULATORS])
        groups = {"perts": self.perts, "regulators": self.regulators, "targets": self.targets}
        self.pathway = {gene: PATHWAYS[i % 12] for group in groups.values() for i, gene in enumerate(group)}
        self.function = {gene: rng.choice(FUNCTIONS) for gene in self.pathway}
        self.silent = {(g, line) for line in LINES for part, n in SILENT.items() for g in rng.sample(groups[part], n)}
        self.complex = self._complexes(rng)
        self.regulator = {t: rng.choice(self._of_pathway(self.regulators, t)) for t in self.targets}
        self.edges = self._edges(rng)  # (source, target) -> 1 activates, -1 represses

    def _of_pathway(self, genes: list[str], like: str) -> list[str]:
        return [g for g in genes if self.pathway[g] == self.pathway[like]]

    def _complexes(self, rng: random.Random) -> dict[str, str]:
        """Two perturbed genes each, and targets of other pathways, so that a pair has one link at most."""
        perts, free = rng.sample(self.perts, PERTS), rng.sample(self.targets, TARGETS)
        found: dict[str, str] = {}
        for n in range(PERTS // 2):
            pair = perts[2 * n : 2 * n + 2]
            fit = [t for t in free if self.pathway[t] not in {self.pathway[p] for p in pair}][:MEMBERS]
            free = [t for t in free if t not in fit]
            found |= dict.fromkeys([*pair, *fit], f"mQXC{n + 1}")
        return found

    def _edges(self, rng: random.Random) -> dict[tuple[str, str], int]:
        edges = {(regulator, target): rng.choice((1, -1)) for target, regulator in self.regulator.items()}
        for pert in self.perts:
            own = self._of_pathway(self.regulators, pert)
            edges |= {(pert, regulator): rng.choice((1, -1)) for regulator in own}
            fit = [t for t in self.targets if self.pathway[t] != self.pathway[pert]]
            fit = [t for t in fit if self.complex.get(t) != self.complex[pert]]
            edges |= {(pert, t): (-1) ** i for i, t in enumerate(rng.sample(fit, DIRECT))}
        return edges

    # -- what is true

    def knows(self, pert: str, gene: str, line: str) -> bool:
        """Tell whether the pair and the line are of this world."""
        return pert in self.function and gene in self.function and line in LINES

    def acts(self, source: str, target: str, line: str) -> int:
        """Return 1 where the source activates the target in the line, -1 where it represses it, else 0."""
        expressed = not {(source, line), (target, line)} & self.silent
        return self.edges.get((source, target), 0) if expressed else 0

    def mechanism(self, pert: str, gene: str, line: str) -> Mechanism:
        """Return what links a pair in a line; `steps` is never empty."""
        if sign := self.acts(pert, gene, line):
            return Mechanism("direct", _effect(sign), (_edge(pert, gene, line, sign),))
        shared = self.complex.get(pert)
        if shared and shared == self.complex.get(gene) and not {(pert, line), (gene, line)} & self.silent:
            return Mechanism("complex", DOWN, tuple(Statement("complex", (g, shared)) for g in (pert, gene)))
        via = self.regulator.get(gene, "")
        first, second = self.acts(pert, via, line), self.acts(via, gene, line)
        if first and second:
            steps = (_edge(pert, via, line, first), _edge(via, gene, line, second))
            return Mechanism("cascade", _effect(first * second), steps)
        return Mechanism("none", UNCHANGED, (Statement("unlinked", (pert, gene, line)),))

    def facts(self, gene: str, line: str) -> list[Statement]:
        """Return what is true of one gene in a line: its parts, its presence, its edges."""
        found = [Statement("function", (gene, self.function[gene])), Statement("pathway", (gene, self.pathway[gene]))]
        found += [Statement("complex", (gene, self.complex[gene]))] if gene in self.complex else []
        found.append(Statement("silent" if (gene, line) in self.silent else "expressed", (gene, line)))
        acting = [pair for pair in self.edges if gene in pair and self.acts(*pair, line)]
        return found + [_edge(*pair, line, self.edges[pair]) for pair in acting]

    def holds(self, statement: Statement) -> bool | None:
        """Tell whether a statement is true; None where the world has no say, as of a gene that it does not know."""
        match statement:
            case ("function" | "pathway" | "complex" as part, (gene, value)) if gene in self.function:
                return getattr(self, part).get(gene) == value
            case ("expressed" | "silent" as presence, (gene, line)) if self.knows(gene, gene, line):
                return ((gene, line) in self.silent) == (presence == "silent")
            case ("activates" | "represses" as verb, trio) if self.knows(*trio):
                return self.acts(*trio) == SIGNS[verb]
            case ("unlinked", trio) if self.knows(*trio):
                return self.mechanism(*trio).kind == "none"
            case ("raises" | "lowers" | "spares" as verb, trio) if self.knows(*trio):
                return self.mechanism(*trio).effect == EFFECTS[verb]
        return None

    def clauses(self, text: str) -> list[tuple[str, bool | None]]:
        """Cut a text into clauses, each with whether it is true; None: nothing that the world could tell."""
        return [(clause, said and self.holds(said)) for clause, said in read(text)]

    # -- what is measured

    def rows(self, seed: int = 0) -> list[Row]:
        """Measure the world: which pairs, which of them are test, and where noise strikes, is the seed's."""
        rng = random.Random(f"rows {seed}")
        return [row for line in LINES for row in self._measure(line, rng)]

    def _measure(self, line: str, rng: random.Random) -> list[Row]:
        perts = [p for p in self.perts if (p, line) not in self.silent]
        test = rng.sample(perts, TEST_PERTS)
        found = []
        for pert in perts:
            for gene, label in self._read_out(pert, line, rng):
                label = rng.choices(list(SHARES), list(SHARES.values()))[0] if rng.random() < NOISE else label
                found.append(Row(line, pert, gene, label, "test" if pert in test else "train"))
        return found

    def pools(self, pert: str, line: str) -> dict[str, list[str]]:
        """Return the genes that can be read out in a line, by what the knock-down does to them."""
        found: dict[str, list[str]] = {label: [] for label in SHARES}
        for gene in self.regulators + self.targets:
            if (gene, line) not in self.silent:
                found[self.mechanism(pert, gene, line).effect].append(gene)
        return found

    def _read_out(self, pert: str, line: str, rng: random.Random) -> list[tuple[str, str]]:
        pools = self.pools(pert, line)
        wanted = Counter(rng.choices(list(SHARES), list(SHARES.values()), k=READ_OUT))
        chosen = {g: c for c in (UP, DOWN) for g in rng.sample(pools[c], min(wanted[c], len(pools[c])))}
        rest = rng.sample(pools[UNCHANGED], READ_OUT - len(chosen))
        return sorted((chosen | dict.fromkeys(rest, UNCHANGED)).items())


@cache
def the_world() -> World:
    """Return the world that the rehearsal's benchmark, model and critic share."""
    return World()


def write_benchmark(folder: Path, seed: int = 0) -> None:
    """Write {k562,rpe1,hepg2,jurkat}-de.csv, -dir.csv and source.json: 3,456 pairs, 2,808 of them train.

    As in PerturbQA, label 1 in a -de file means differentially expressed, its -dir file has just those rows
    (1 = increase, 0 = decrease), and within a line all rows of a perturbation lie on one side. Lines share
    perturbations, genes and some pairs; the classes are as rare as there (`SHARES`).

    Args:
        folder: is made if absent; files of these names are overwritten.
        seed: of the measurement, `World.rows`; the same seed gives the same bytes.
    """
    rows = the_world().rows(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for line in LINES:
        own = [row for row in rows if row.line == line]
        changed = [row for row in own if row.label != UNCHANGED]
        _write(folder / f"{line.lower()}-de.csv", own, UNCHANGED, 0)
        _write(folder / f"{line.lower()}-dir.csv", changed, UP, 1)
    source = {"source": "rehearsal", "licence": "CC0-1.0"}
    (folder / "source.json").write_text(json.dumps(source) + "\n", "utf-8")


def _write(file: Path, rows: list[Row], label: str, code: int) -> None:
    """Write rows, this label as this code (0 or 1) and any other as the other one."""
    lines = [f"{r.pert},{r.gene},{code if r.label == label else 1 - code},{r.side}" for r in rows]
    file.write_text("\n".join(["pert,gene,label,split", *lines]) + "\n", "utf-8")


def _effect(sign: int) -> str:
    """Losing what activates lowers, losing what represses raises."""
    return DOWN if sign > 0 else UP


def _edge(source: str, target: str, line: str, sign: int) -> Statement:
    return Statement("activates" if sign > 0 else "represses", (source, target, line))
