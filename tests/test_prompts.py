"""Prompts: what Appendix C asks for is in them, they are replaceable, and a bad one is refused."""

import pytest

from curation.errors import BadInput
from curation.prompting import FILES, fill, load
from curation.schema import LABELS

PAIR = {"pert": "AAA", "gene": "BBB", "cell_line": "K562"}
ABOUT = ("cell", "ribosome biogenesis", "transcription", "mitochondrial function", "stress response", "interact")


@pytest.mark.parametrize("name", ["standard", "explain", "blind"])
def test_what_appendix_c_asks_of_a_prompt_that_predicts(name):
    prompt = load(name)
    assert all(words in prompt.system for words in (*ABOUT, "molecular and cell biology", "CRISPR"))
    assert all(f"'{label}'" in prompt.system for label in LABELS)
    assert all(tag in prompt.system for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    assert ("I do not know" in prompt.system) == (name != "standard")
    assert ("Measured outcome: {outcome}" in prompt.system) == (name == "explain")
    assert all(f"{{{key}}}" in prompt.user for key in PAIR)


def test_what_appendix_c_asks_of_the_direction_prompt():
    prompt = load("direction")
    assert prompt.system == load("standard").system
    for words in ("1. upregulated", "2. downregulated", "differentially expressed", "no option", "only one"):
        assert words in prompt.user


def test_what_appendix_c_asks_of_the_critic():
    prompt = load("critic")
    for words in ("excellent", "good", "average", "bad", "terrible", "<reasoning>", "<evaluation>", "final answer"):
        assert words in prompt.system
    assert "{query}" in prompt.user and "{reasoning}" in prompt.user
    assert "{outcome}" not in prompt.system + prompt.user


def test_the_prompt_part_is_the_same_whatever_the_outcome():
    for name in ("standard", "blind", "direction"):
        texts = {str(load(name).messages(**PAIR, outcome=label)) for label in LABELS}
        assert len(texts) == 1
    assert len({str(load("explain").messages(**PAIR, outcome=label)) for label in LABELS}) == 3


def test_a_value_with_braces_stays_as_it_is():
    assert fill("{a} {b} {c}", {"a": "{b}", "b": "x"}) == "{b} x {c}"


def test_an_own_file_replaces_one_and_changes_the_version(tmp_path):
    (tmp_path / "blind.system.txt").write_text("Mine: 'upregulated'.")
    own = load("blind", tmp_path)
    assert own.system == "Mine: 'upregulated'." and own.user == load("blind").user
    assert own.hash != load("blind").hash
    assert load("critic", tmp_path) == load("critic")


def test_every_prompt_has_its_files_and_a_version_of_its_own():
    hashes = {name: load(name).hash for name in FILES}
    assert len(set(hashes.values())) == len(hashes) - 1  # a control is an explain prompt with a wrong outcome
    assert hashes["control"] == hashes["explain"]


BAD = {
    "standard.user": ("Knock {pert} down in {cell_line}.", "own/standard.user.txt: found no {gene}"),
    "explain.system": ("Explain.", "no {outcome}"),
    "critic.user": ("{query}", "no {reasoning}"),
    "blind.system": ("It is {outcome}.", "hides the outcome"),
}


@pytest.mark.parametrize("file", BAD)
def test_a_prompt_without_its_placeholders_is_refused(file, tmp_path, store, run):
    text, words = BAD[file]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{file}.txt").write_text(text)
    name = file.split(".")[0]
    with pytest.raises(BadInput, match=words.rsplit("/")[-1].replace("{", r"\{")):
        load(name, tmp_path / "own")
    verb = ["grade"] if name in ("critic", "standard") else ["generate", "--approach", name]
    done = run(*verb, "--model", "m", "--prompts", "own")
    assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["explain.txt", None])
def test_a_folder_of_prompts_that_would_be_left_aside_is_refused(name, tmp_path):
    (tmp_path / "own").mkdir()
    if name:
        (tmp_path / "own" / name).write_text("x")
    with pytest.raises(BadInput, match="files among blind.system.txt"):
        load("explain", tmp_path / "own")


def test_a_prompt_that_is_no_text(tmp_path):
    (tmp_path / "critic.user.txt").write_bytes(b"\xff\xfe{query}{reasoning}")
    with pytest.raises(BadInput, match="UTF-8"):
        load("critic", tmp_path)
