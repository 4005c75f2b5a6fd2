"""The `synthpert` command: knows every verb, and loads a room only when one of its verbs runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

MAKING, LOOKING, SELECTING = (f"curation.commands.{room}" for room in ("making", "looking", "selecting"))
EXCHANGING = "curation.commands.exchanging"
PUBLISHING = "curation.commands.publishing"
ANNOTATION, TRAINING = "annotation.commands", "training.commands"
PREDICTING, RULING, SCORING = (f"eval.commands.{room}" for room in ("predicting", "ruling", "scoring"))

# The allocators that Arrow and Delta bring along keep what a long run gives back, some 60 MB in 100,000 answers; these
# are read as the two are imported
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,narenas:1")

# panel -> verb -> (module that has a function of this name, first line of its docstring); of a verb of two words the
# first is the group and the second the function
PANELS: dict[str, dict[str, tuple[str, str]]] = {
    "Start": {
        "demo": ("journey", "Run the whole job as a rehearsal, free and offline."),
        "rehearse": (MAKING, "Serve a scripted model on 127.0.0.1, free and offline."),
    },
    "Make traces": {
        "init": (MAKING, "Write a commented synthpert.toml."),
        "ingest": (MAKING, "Read a benchmark's files into the store."),
        "plan": (MAKING, "Tell what a generate would ask and cost; sends nothing."),
        "generate": (MAKING, "Ask a model for a trace of each example of a set."),
        "grade": (MAKING, "Ask a critic to grade the valid traces it has not graded yet."),
    },
    "Look at them": {
        "sql": (LOOKING, "Answer one SELECT over the store's tables and views."),
        "show": (LOOKING, "Print one trace and its whole lineage, or a sample of traces."),
        "report": (LOOKING, "Write a page about the store: funnel, grades, spend, critics, traces."),
        "critics": (LOOKING, "Tell how well each critic tells true outcomes from wrong ones, and how critics agree."),
        "parse": (LOOKING, "Tell how each text of a file is read, and why."),
        "exclude": (LOOKING, "Hide a bad run, or traces, from every view."),
    },
    "Select and write versions": {
        "check": (SELECTING, "Look in the traces for leaks, missing genes, contradictions and the like."),
        "recipes": (SELECTING, "List the recipes, shipped and your own, with their parameters."),
        "preview": (SELECTING, "Count what a recipe would select; writes nothing."),
        "build": (SELECTING, "Write what a recipe selects as a dataset's next version."),
        "versions": (SELECTING, "List the versions that were built."),
        "diff": (SELECTING, "Tell what differs between two versions, and for each row what decided."),
        "rebuild": (SELECTING, "Write a version again from the store as it was, and prove that it is the same."),
    },
    "Exchange traces": {
        "import": (EXCHANGING, "Bring traces that were made elsewhere into the store."),
        "export": (EXCHANGING, "Write a side of a dataset as a file that other trainers and tools read."),
    },
    "Publish": {
        "publish": (PUBLISHING, "Publish a version to the Hub, in one commit with one tag."),
        "fetch": (PUBLISHING, "Fetch a version from the Hub into a folder, checked against its manifest."),
    },
    "Ask experts": {
        "annotate clauses": (ANNOTATION, "Print the clauses of one trace, which experts judge one by one."),
        "annotate push": (ANNOTATION, "Draw clauses for a round of review and send them to an Argilla server."),
        "annotate link": (ANNOTATION, "Print the addresses to hand to the experts of a round."),
        "annotate status": (ANNOTATION, "Tell how far a round is, and who has judged how much."),
        "annotate pull": (ANNOTATION, "Bring the experts' answers of a round into the store."),
        "annotate report": (
            ANNOTATION,
            "Tell what experts found: factuality, agreement, and how well each annotator does.",
        ),
        "annotate serve": (
            ANNOTATION,
            "Serve Argilla on this machine, for experts to open in a browser, until Ctrl-C.",
        ),
    },
    "Train": {
        "render": (TRAINING, "Print the tokens that rows of a dataset are trained on, as text in two colours."),
        "train": (TRAINING, "Train a LoRA adapter on a dataset; the same command goes on where a stopped one was."),
        "merge": (TRAINING, "Merge an adapter into its base model, and prove that it answers as before."),
        "publish-model": (TRAINING, "Publish a trained adapter, or a merged model, to the Hub in one commit."),
    },
    "Score": {
        "predict": (PREDICTING, "Ask a model about a side of a dataset."),
        "score": (SCORING, "Score predictions, with intervals, beside what trivial rules get."),
        "compare": (SCORING, "Tell where two models differ: paired differences, and which examples changed."),
        "tables": (SCORING, "Print the paper's Tables 1 to 4 with our rows beside the published ones."),
        "baselines": (RULING, "Score rules that need no model on a dataset's test side: what any model must beat."),
        "audit": (
            RULING,
            "Tell what of a dataset's test side leaks from train, how far copying gets, and which part is clean.",
        ),
    },
}
VERBS = {verb: target for verbs in PANELS.values() for verb, target in verbs.items()}
GROUPS = {"annotate": "Have experts judge what traces say, clause by clause."}


def function(verb: str) -> Any:
    """Return the function behind a verb; its room is imported. A verb that is a word of Python's has `_` after it."""
    name = verb.split()[-1].replace("-", "_")
    return getattr(import_module(VERBS[verb][0]), f"{name}_" if iskeyword(name) else name)


class LazyGroup(TyperGroup):
    """Lists the verbs of PANELS; imports a verb's module only when it is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its stub."""
        name, stub, rest = super().resolve_command(ctx, args)
        verb = f"{ctx.info_name} {name}" if ctx.parent else name
        if stub is None or name is None or verb not in VERBS:  # completion asks for unknown names; a group is no stub
            return name, stub, rest
        one = typer.Typer(add_completion=False, rich_markup_mode=None)
        one.command(name)(function(verb))
        return name, typer.main.get_command(one), rest


def _lazy() -> typer.Typer:
    return typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


app = _lazy()
_groups = {group: _lazy() for group in GROUPS}
for _panel, _verbs in PANELS.items():
    for _group in dict.fromkeys(verb.split()[0] for verb in _verbs if " " in verb):
        app.add_typer(_groups[_group], name=_group, help=GROUPS[_group], rich_help_panel=_panel)
    for _verb, (_, _line) in _verbs.items():
        _parent = _groups[_verb.split()[0]] if " " in _verb else app
        _parent.command(_verb.split()[-1], help=_line, rich_help_panel=_panel)(lambda: None)


def _version(wanted: bool) -> None:
    if wanted:
        from curation.runs import code_version

        print(f"synthpert {code_version()}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    store: Annotated[str | None, typer.Option(help="folder or object-store URL (SYNTHPERT_STORE; ./store)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="print the version")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress and no remarks on stderr")] = False,
) -> None:
    """Make, check and version reasoning traces for perturbation prediction.

    Example: synthpert --store mystore sql "FROM funnel"
    """
    ctx.obj = {"store": store, "json": json, "quiet": quiet}


def main() -> None:
    """Run a verb. Exit 0 done, 1 one clear line of what is wrong, 2 usage, 3 stopped before the end."""
    from curation import interrupts
    from curation.errors import Interrupted, SynthpertError

    interrupts.listen()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app()
    except Interrupted as e:
        _end(str(e), 3)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is wrong
    except (Exception, SystemExit) as e:
        if interrupts.struck():  # typer makes an exit of its own of a Ctrl-C, and DuckDB an error
            _end("interrupted; the same command goes on from here", 3)
        if isinstance(e, OSError):
            _end(f"{e.filename or 'the store'}: {e.strerror or e}", 1)
        if not isinstance(e, SynthpertError):
            raise
        _end(str(e), 1)


def _end(line: str, status: int) -> None:
    typer.echo(f"synthpert: {line}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
