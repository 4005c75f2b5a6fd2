"""The adapter: put into its base, and shown to say the same there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curation import prompting
from curation.errors import BadInput
from curation.rendering import load_tokenizer, prompt_ids
from training.record import FILE, PLOT
from training.run import hush

if TYPE_CHECKING:
    import torch

# what is asked to compare; any question will do, and these need no dataset
PAIRS = (("TP53", "CDKN1A", "RPE1"), ("MYC", "NCL", "K562"), ("HSPA5", "DDIT3", "HepG2"), ("GATA1", "HBG1", "Jurkat"))
NEW_TOKENS = 48
# logits: nearer than this two tokens are a tie, and rounding decides; one step of bfloat16 at 16 to 32 is an eighth
TIE = {"torch.float32": 1e-3, "torch.float16": 0.05, "torch.bfloat16": 0.25}
LOST = 0.5  # of what the adapter changes: a merged model that is further off than that has lost it


class Merged(NamedTuple):
    """A merged model, and how it compares: of `prompts`, `same` have the same greedy answer, the others part at a tie.

    `off` is how far its logits are from the adapter's, as a share of how far the base's are.
    """

    out: str
    prompts: int
    same: int
    off: float
    dtype: str


def merge(folder: Path, out: Path | None = None) -> Merged:
    """Merge an adapter into its base and write the model, if it then answers as before.

    Args:
        folder: what `train` wrote.
        out: the folder to write, FOLDER-merged by default; empty or not there.

    Raises:
        BadInput: no adapter, no base, `out` holds something, or the merged model, read back from disk, answers
            otherwise than base and adapter.
    """
    hush()
    from transformers import AutoModelForCausalLM

    out = out or folder.with_name(f"{folder.name}-merged")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"--out {out}: this is not an empty folder; name another")
    model, tokenizer = _load(folder), load_tokenizer(str(folder))
    questions = [prompt_ids(tokenizer, chat) for chat in _chats()]
    told = [_answer(model, question) for question in questions]
    with model.disable_adapter():
        base = [_logits(model, q, answer) for q, (answer, _) in zip(questions, told, strict=True)]
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.merge_and_unload().save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        del model
        read = AutoModelForCausalLM.from_pretrained(partial, dtype="auto").to(_device())
        found = compare(read, questions, told, base)
        _describe(folder, partial, found)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return found._replace(out=str(out))


def _load(folder: Path) -> Any:
    from peft import AutoPeftModelForCausalLM

    if not (folder / "adapter_config.json").exists():
        raise BadInput.at(folder, "no adapter_config.json", "a folder that `synthpert train` wrote")
    try:
        # in 16 bits also where it was trained on a base in 4: an adapter cannot be merged into those without loss
        return AutoPeftModelForCausalLM.from_pretrained(folder, dtype="auto").to(_device()).eval()
    except (OSError, ValueError) as e:
        raise BadInput(f"{folder}: its base cannot be loaded: {str(e).strip().splitlines()[0]}") from e


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _chats() -> list[list[dict[str, str]]]:
    standard = prompting.load("standard")
    return [standard.messages(pert=p, gene=g, cell_line=c) for p, g, c in PAIRS]


def _answer(model: Any, question: list[int]) -> tuple[list[int], torch.Tensor]:
    """Return a greedy answer, and the logits (tokens, vocabulary) that it was taken from."""
    import torch

    asked = torch.tensor([question], device=model.device)
    mask = torch.ones_like(asked)
    with torch.no_grad():
        whole = model.generate(input_ids=asked, attention_mask=mask, do_sample=False, max_new_tokens=NEW_TOKENS)
    answer = whole[0, len(question) :].tolist()
    return answer, _logits(model, question, answer)


def _logits(model: Any, question: list[int], answer: list[int]) -> torch.Tensor:
    """Return the logits at each token of an answer, on the CPU in float32."""
    import torch

    ids = torch.tensor([question + answer], device=model.device)
    with torch.no_grad():
        found = model(input_ids=ids).logits[0, len(question) - 1 : -1]
    return found.float().cpu()


def compare(
    merged: Any,
    questions: list[list[int]],
    told: list[tuple[list[int], torch.Tensor]],
    base: list[torch.Tensor],
) -> Merged:
    """Compare a merged model with base and adapter apart.

    Args:
        merged: the model.
        questions: tokens of the prompts.
        told: the greedy answers of base and adapter, and their logits.
        base: the logits of the base alone at those answers.

    Raises:
        BadInput: it answers otherwise, or is as far from the adapter's logits as the base.
    """
    tie, same, off, change = TIE[str(merged.dtype)], 0, 0.0, 0.0
    for question, (answer, logits), without in zip(questions, told, base, strict=True):
        other, _ = _answer(merged, question)
        same += other == answer
        here = _logits(merged, question, answer)
        off += (here - logits).abs().mean().item()
        change += (without - logits).abs().mean().item()
        if other != answer and (gap := _gap(logits, answer, other)) > tie:
            raise BadInput(f"the merged model answers otherwise, {gap:.2f} from a tie; nothing was written")
    if off > LOST * change:
        raise BadInput(f"the merged model has lost the adapter: {off / max(change, 1e-9):.0%} off; nothing was written")
    return Merged("", len(questions), same, off / max(change, 1e-9), str(merged.dtype).removeprefix("torch."))


def _gap(logits: torch.Tensor, answer: list[int], other: list[int]) -> float:
    """Return by how much the token of the first answer is better where the second parts from it."""
    at = next((i for i, (a, b) in enumerate(zip(answer, other, strict=False)) if a != b), None)
    if at is None:
        return float("inf")  # one ends where the other goes on
    return (logits[at, answer[at]] - logits[at, other[at]]).item()


def _describe(folder: Path, out: Path, found: Merged) -> None:
    """Copy what tells of the training, and say in the card what became of it."""
    for name in (FILE, PLOT):
        if (folder / name).exists():
            shutil.copyfile(folder / name, out / name)
    card = (folder / "README.md").read_text("utf-8") if (folder / "README.md").exists() else ""
    note = (
        f"\n## Merged\n\nThis folder holds the base with the adapter merged into it, in {found.dtype}: of "
        f"{found.prompts} prompts {found.same} have the same greedy answer as base and adapter apart, the others part "
        "at a tie.\n"
    )
    (out / "README.md").write_text(card.replace("library_name: peft", "library_name: transformers") + note, "utf-8")
