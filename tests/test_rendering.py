"""Rendering: what is trained on has the reasoning, one BOS, its EOS, and the prompt that the model is asked with."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from kit.hub import hub
from kit.tiny import FAMILIES, NEWER, WORDS, family
from tokenizers import decoders, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from curation.errors import BadInput
from curation.published import open_dataset
from curation.reading.answers import read_trace
from curation.rehearsal.tiny import BOS, EOS, make_tokenizer, write_model
from curation.rendering import answer_alone, check, load_tokenizer, prompt, prompt_ids, render, render_all

REASONING = "The knock-down of TP53 lowers CDKN1A, its target."
ASKED = [
    {"role": "system", "content": "You predict what a knock-down does."},
    {"role": "user", "content": "TP53 is knocked down. What happens to CDKN1A?"},
]
CHAT = [
    *ASKED,
    {"role": "assistant", "content": f"<think>\n{REASONING}\n</think>\n<answer>downregulated</answer>"},
]


def trained(tokenizer, ids, labels):
    return tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label != -100])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_reasoning_and_the_answer_are_trained_whatever_the_template(name):
    tokenizer = family(name)
    row = render(tokenizer, CHAT)
    text = trained(tokenizer, row.input_ids, row.labels)
    assert check(tokenizer, row, REASONING) is None
    assert REASONING in text and text.endswith(f"<answer>downregulated</answer>{tokenizer.eos_token}")
    whole = tokenizer.decode(row.input_ids)
    assert whole.count("<think>") == whole.count("</think>") == 1
    assert ASKED[0]["content"] in row.prompt and ASKED[1]["content"] in row.prompt
    assert ASKED[1]["content"] not in text


@pytest.mark.parametrize("name", FAMILIES)
def test_the_prompt_is_the_one_that_the_model_is_asked_with(name):
    tokenizer = family(name)
    row = render(tokenizer, CHAT)
    asked = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_dict=False)
    assert row.input_ids[: len(asked)] == asked == prompt_ids(tokenizer, ASKED) == prompt_ids(tokenizer, CHAT)


@pytest.mark.parametrize("name", ["r1-distill", "r1-distill, original"])
def test_the_stock_template_takes_the_reasoning_away(name):
    tokenizer = family(name)
    stock = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert REASONING not in stock and "<answer>downregulated</answer>" in stock
    assert REASONING in tokenizer.decode(render(tokenizer, CHAT).completion_ids)


def test_a_text_that_holds_bos_gets_a_second_one_from_the_tokenizer_and_ours_does_not():
    tokenizer = family("r1-distill")
    stock = tokenizer(prompt(tokenizer, CHAT))["input_ids"]
    assert stock.count(tokenizer.bos_token_id) == 2
    assert render(tokenizer, CHAT).input_ids.count(tokenizer.bos_token_id) == 1


def test_a_bos_too_many_or_too_few_is_told():
    tokenizer = family("r1-distill")
    tokenizer.chat_template = "{{ bos_token }}" + NEWER
    assert check(tokenizer, render(tokenizer, CHAT), REASONING) == f"2 of {BOS}, wanted 1, at the start"
    tokenizer.chat_template = NEWER.replace("{{bos_token}}", "")
    assert check(tokenizer, render(tokenizer, CHAT), REASONING) == f"0 of {BOS}, wanted 1, at the start"


def test_the_newer_template_opens_the_reasoning_and_it_is_not_opened_twice():
    assert render(family("r1-distill"), CHAT).completion.startswith(REASONING)
    assert render(family("r1-distill, original"), CHAT).completion.startswith(f"<think>\n{REASONING}")


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_alone_close_what_the_prompt_opened(name):
    tokenizer = family(name)
    row = render(tokenizer, answer_alone(CHAT))
    assert check(tokenizer, row) is None and REASONING not in row.completion
    assert row.completion.endswith(f"<answer>downregulated</answer>{tokenizer.eos_token}")
    assert row.completion.startswith("</think>" if name == "r1-distill" else "<answer>")
    assert read_trace(row.completion.removesuffix(tokenizer.eos_token)).answer == "downregulated"


def test_tokens_do_not_merge_over_the_end_of_the_prompt():
    """The model goes on from the prompt's tokens; a tokenizer that sees both together may join the two."""
    tokenizer = make_tokenizer(["Assistant:<answer>upregulated</answer>"] * 9)
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.content + '\n' }}{% endfor %}Assistant:"
    chat = answer_alone(CHAT)
    asked, row = prompt_ids(tokenizer, chat), render(tokenizer, chat)
    together = tokenizer(row.prompt + row.completion, add_special_tokens=False)["input_ids"]
    assert together[: len(asked)] != asked
    assert row.prompt_ids == asked and check(tokenizer, row) is None


def test_a_tokenizer_that_puts_a_space_before_every_text_does_not_put_one_into_the_middle():
    own = make_tokenizer(WORDS).backend_tokenizer
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, bos_token=BOS, eos_token=EOS)
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.content + '\n' }}{% endfor %}Answer:"
    row = render(tokenizer, answer_alone(CHAT))
    apart = tokenizer(row.completion, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(apart) != row.completion
    assert tokenizer.decode(row.completion_ids) == row.completion and check(tokenizer, row) is None


def test_a_tokenizer_that_composes_letters_is_no_fault():
    tokenizer = make_tokenizer(WORDS)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    chat = [*CHAT[:-1], {"role": "assistant", "content": CHAT[-1]["content"].replace("TP53", "Bru\u0308der")}]
    row = render(tokenizer, chat)
    assert tokenizer.decode(row.completion_ids) != row.completion
    assert check(tokenizer, row, REASONING.replace("TP53", "Bru\u0308der")) is None


FAULTS = {
    "a special token in its words": (f"a {EOS} b", f"the trained part holds {EOS} before its end"),
    "another turn in its words": ("a <｜User｜> b", "the trained part holds <｜User｜> before its end"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_row_is_told(fault):
    words, told = FAULTS[fault]
    tokenizer = make_tokenizer(WORDS)
    chat = [*ASKED, {"role": "assistant", "content": f"<think>\n{words}\n</think>\n<answer>upregulated</answer>"}]
    assert check(tokenizer, render(tokenizer, chat), words) == told


def test_reasoning_or_answer_or_end_that_is_not_there_is_told():
    tokenizer = make_tokenizer(WORDS)
    row = render(tokenizer, CHAT)
    assert "the reasoning is not in the trained part" in check(tokenizer, row, "something else")
    cut = row._replace(completion_ids=row.completion_ids[:-1])
    assert "ends with" in check(tokenizer, cut, REASONING)
    bare = render(tokenizer, [*ASKED, {"role": "assistant", "content": f"<think>\n{REASONING}\n</think>\nup"}])
    assert "no <answer>" in check(tokenizer, bare, REASONING)
    never_closed = render(tokenizer, [*ASKED, {"role": "assistant", "content": f"{REASONING}<answer>up</answer>"}])
    assert check(tokenizer, never_closed, REASONING) is None  # answers alone close the prompt's <think> first
    other = row._replace(completion="<answer>upregulated</answer>")
    assert "read back otherwise" in check(tokenizer, other, REASONING)


def test_a_tokenizer_that_does_not_know_the_letters_is_told():
    own = make_tokenizer(WORDS).backend_tokenizer
    own.pre_tokenizer, own.decoder = pre_tokenizers.Whitespace(), decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, bos_token=BOS, eos_token=EOS)
    tokenizer.chat_template = NEWER
    assert check(tokenizer, render(tokenizer, CHAT), REASONING) is not None


def test_a_template_that_refuses_or_leaves_out_is_one_line():
    tokenizer = make_tokenizer(WORDS)
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(BadInput, match="refuses the chat: no system role"):
        render(tokenizer, CHAT)
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(BadInput, match="leaves out what the system says"):
        render(tokenizer, CHAT)
    with pytest.raises(BadInput, match="ends with the question"):
        render(tokenizer, ASKED)


def test_what_a_model_must_have(tmp_path):
    folder = write_model(tmp_path / "model", WORDS)
    with pytest.raises(BadInput, match="no tokenizer can be loaded"):
        load_tokenizer(str(tmp_path / "nothing"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="no chat template; give one by --template FILE"):
        load_tokenizer(str(folder))
    own = tmp_path / "own.jinja"
    own.write_text(NEWER)
    assert load_tokenizer(str(folder), own).chat_template == NEWER
    with pytest.raises(BadInput, match=r"gone\.jinja: found No such file"):
        load_tokenizer(str(folder), tmp_path / "gone.jinja")


# -- the dataset that rows come from


def test_every_row_of_a_dataset_renders(dataset, tmp_path):
    rows = open_dataset(str(dataset)).table("default", "train", ["messages", "reasoning"]).to_pylist()
    tokenizer = make_tokenizer([m["content"] for r in rows for m in r["messages"]])
    rendered = render_all(tokenizer, [r["messages"] for r in rows])
    found = Counter(check(tokenizer, r, row["reasoning"]) for r, row in zip(rendered, rows, strict=True))
    assert found == {None: len(rows)} and len(rows) > 20
    alone = [render(tokenizer, r["messages"]) for r in rows]
    assert alone == rendered


def test_render_shows_the_reasoning_in_the_trained_part(dataset, run, ask_json, tmp_path):
    model = write_model(tmp_path / "model", WORDS)
    rows = ask_json("render", dataset, "--n", 3, "--model", model)
    table = open_dataset(str(dataset)).table("default", "train").slice(0, 3).to_pylist()
    tokenizer = load_tokenizer(str(model))
    for row, held in zip(rows, table, strict=True):
        assert row["id"] == held["trace_id"]
        assert held["reasoning"] in row["completion"] and held["reasoning"] not in row["prompt"]
        assert row["completion"].endswith(f"<answer>{held['label']}</answer>{EOS}")
        assert row["tokens_completion"] == len(tokenizer(row["completion"], add_special_tokens=False)["input_ids"])
        stock = tokenizer.apply_chat_template(held["messages"], tokenize=False)
        assert held["reasoning"] not in stock
    direct = ask_json("render", dataset, "--n", 3, "--model", model, "--direct")
    assert [r["id"] for r in direct] == [r["id"] for r in rows]
    assert all(r["completion"].startswith("</think>\n<answer>") for r in direct)
    text = run("render", dataset, "--n", 1, "--model", model).stdout
    assert "PROMPT" in text and "TRAINED ON" in text and table[0]["reasoning"] in text


def test_a_dataset_of_the_hub_is_read_at_its_tag(dataset, run, tmp_path):
    model = write_model(tmp_path / "model", WORDS)
    with hub(tmp_path / "home") as one:
        commit = one.put("org/traces", dataset, "v1.0.0")
        env = {**os.environ, **one.env()}
        done = run("--json", "render", "org/traces@v1.0.0", "--model", model, env=env)
        assert done.returncode == 0, done.stderr
        local = run("--json", "render", dataset, "--model", model)
        assert json.loads(done.stdout) == json.loads(local.stdout)
        for ref in ("org/traces@v9.9.9", "org/nothing@v1.0.0"):
            wrong = run("render", ref, "--model", model, env=env)
            assert wrong.returncode == 1 and wrong.stderr.startswith(f"synthpert: {ref}: the Hub does not hand it out")
            assert wrong.stderr.count("\n") == 1
    again = run("render", f"org/traces@{commit}", "--model", model, env={**env, "HF_HUB_OFFLINE": "1"})
    assert again.returncode == 0, again.stderr


def test_what_is_no_version_is_one_line(dataset, tmp_path):
    wrong = {
        "nothing": "found no such folder",
        "org/traces": "name its revision as well, such as @v1.0.0",
        "org/traces@v1.0.0": "the Hub does not hand it out",  # the tests are offline
        str(tmp_path): "manifest.json: found No such file",
    }
    for ref, told in wrong.items():
        with pytest.raises(BadInput) as e:
            open_dataset(ref)
        assert told in str(e.value) and "\n" not in str(e.value)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BadInput, match="found no files, name, row_hash, rows, version"):
        open_dataset(str(tmp_path))


def test_a_file_that_was_changed_is_refused(dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "copy")
    found = open_dataset(str(folder))
    assert (found.name, found.version) == ("traces", "1.0.0")
    with pytest.raises(BadInput, match="--split nope: .* has default, rpe1_holdout"):
        found.table("nope", "train")
    with pytest.raises(BadInput, match="no side 'tset'"):
        found.table("default", "tset")
    file = next(Path(folder).glob("default/train-*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInput, match=r"train-00000-of-00001.parquet: found sha256 .* it was changed or cut"):
        found.table("default", "train")
    file.unlink()
    with pytest.raises(BadInput, match="No such file"):
        found.table("default", "train")
