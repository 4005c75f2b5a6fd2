"""Predict: a model asked about a side of a dataset; resumed, sampled, blinded, through a server or in this process."""

import json
import re
import shutil
from collections import Counter

import pyarrow.parquet as pq
import pytest
from kit.peer import GOOD, completion, peer

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import BadInput
from curation.published import open_dataset
from curation.reading import read_trace
from curation.rehearsal.world import the_world
from curation.schema import LABELS
from curation.store import Store
from eval import predictions
from eval.blinding import blinded, code
from eval.predict import answered, predict
from eval.tasks import Wanted, examples

QUIET = How(quiet=True)


@pytest.fixture(scope="module")
def dataset(direct):
    """The folder of a dataset of the made-up benchmark."""
    return direct / "all"


def ask(dataset, wanted, out="p.parquet", **more):
    return predict(
        Store("kept", create=True), open_dataset(str(dataset)), endpoint("m"), wanted, tmp(out), how=QUIET, **more
    )


def tmp(name):
    from pathlib import Path

    return Path(name)


def test_the_test_side_is_predicted_and_asked_once(dataset, model, ask_json, run):
    done = ask_json("--store", "kept", "predict", dataset, "--model", "m", "--out", "p.parquet")
    assert (done["examples"], done["predicted"], done["answered"]) == (648, 648, 648) and done["score_kind"] == "hard"
    rows, test = predictions.read("p.parquet"), open_dataset(str(dataset)).table("default", "test")
    assert sorted(rows["example_id"].to_pylist()) == sorted(test["example_id"].to_pylist())
    shared = {c: rows[c][0].as_py() for c in ("task", "model", "dataset", "split", "side")}
    assert list(shared.values()) == ["three-class", "m", "all@1.0.0", "default", "test"]
    assert rows["p_up"].null_count == 648 and set(rows["answer"].to_pylist()) <= {*LABELS, "I do not know", None}
    again = ask_json("--store", "kept", "predict", dataset, "--model", "m", "--out", "p.parquet")
    assert (again["asked"], again["cached"]) == (0, 648) and predictions.read("p.parquet").equals(rows)
    kept = ask_json(
        "--store", "kept", "sql", "SELECT count(*) AS n, count(DISTINCT example_id) AS e FROM raw.predictions"
    )
    assert kept == [{"n": 648, "e": 648}]
    text = run("--store", "kept", "predict", dataset, "--model", "m", "--out", "p.parquet")
    assert text.stdout.startswith("648 of 648 examples predicted by m") and "next: synthpert score" in text.stderr


def test_what_is_asked_is_the_datasets_own_question(dataset, model):
    ask(dataset, Wanted(sample=20))
    test = {r["example_id"]: r["messages"] for r in open_dataset(str(dataset)).table("default", "test").to_pylist()}
    asked = Store("kept").rows("SELECT subject_id, messages, prompt, stage FROM responses")
    assert len(asked) == 20 and all(r["messages"] == test[r["subject_id"]] for r in asked)
    assert {(r["prompt"], r["stage"]) for r in asked} == {("standard", "predict")}


def test_a_model_that_knows_the_planted_world_is_as_good_as_planted(dataset, monkeypatch):
    from curation.rehearsal.server import serve

    with serve(skill=1.0) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        ask(dataset, Wanted(sample=300))
    rows = pq.read_table("p.parquet").to_pylist()
    implied = [the_world().mechanism(r["pert"], r["gene"], r["cell_line"]).effect for r in rows]
    assert [r["answer"] for r in rows] == implied
    assert 0.9 < sum(r["answer"] == r["label"] for r in rows) / 300 < 1, "a few labels are noise"


def test_direction_is_asked_of_what_changes_in_its_own_words(dataset, model):
    done = ask(dataset, Wanted(task="direction", sample=30))
    rows = pq.read_table("p.parquet").to_pylist()
    assert done.predicted == 30 and {r["label"] for r in rows} == set(LABELS[:2])
    asked = Store("kept").rows("SELECT messages[2].content AS said, prompt FROM responses")
    assert all("is known to be differentially expressed" in r["said"] and r["prompt"] == "direction" for r in asked)


def test_a_larger_sample_contains_a_smaller_one_and_another_seed_is_another(dataset):
    found = [
        examples(open_dataset(str(dataset)), Wanted(sample=n, seed=s))["example_id"].to_pylist()
        for n, s in ((10, 0), (30, 0), (30, 1))
    ]
    assert found[1][:10] == found[0] and len(set(found[2]) & set(found[1])) < 10


def test_an_example_with_several_traces_is_asked_once_without_its_answer(dataset, model):
    done = ask(dataset, Wanted(side="validation", sample=25))
    assert done.predicted == 25
    roles = Store("kept").rows("SELECT [m.role FOR m IN messages] AS roles FROM responses")
    assert {tuple(r["roles"]) for r in roles} == {("system", "user")}


def test_of_several_samples_the_shares_are_the_scores(dataset, model):
    ask(dataset, Wanted(sample=15), samples=4)
    rows, store = pq.read_table("p.parquet").to_pylist(), Store("kept")
    for row in rows:
        told = store.rows(
            "SELECT text FROM responses WHERE subject_id = $id ORDER BY sample", {"id": row["example_id"]}
        )
        answers = Counter(read_trace(r["text"]).answer for r in told)
        assert len(told) == 4 and [row[p] for p in ("p_up", "p_down", "p_none")] == [answers[a] / 4 for a in LABELS]
        assert answers[row["answer"]] == max(answers.values()) and row["score_kind"] == "share"


def reading(*answers):
    texts = {None: "no tag", "idk": "I do not know", "up": LABELS[0], "down": LABELS[1], "none": LABELS[2]}
    return [
        read_trace(f"<think>{i}</think>" + (f"<answer>{texts[a]}</answer>" if a else "")) for i, a in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("task", "answers", "answer", "shares"),
    [
        ("three-class", ["up", "down", "down"], LABELS[1], (1 / 3, 2 / 3, 0)),
        ("three-class", ["none", "up", "idk", None], LABELS[2], (0.25, 0, 0.25)),
        ("three-class", ["idk", None], "I do not know", (0, 0, 0)),
        ("direction", ["none", "none", "down"], LABELS[1], (0, 1 / 3, 2 / 3)),
        ("direction", ["none", "none"], LABELS[2], (0, 0, 1)),
    ],
)
def test_the_answer_of_several_is_the_most_frequent_and_what_is_no_answer_has_no_share(task, answers, answer, shares):
    found = answered(reading(*answers), task, len(answers))
    assert found["answer"] == answer and (found["p_up"], found["p_down"], found["p_none"]) == pytest.approx(shares)
    assert found["reasoning"] == str([read.answer for read in reading(*answers)].index(answer))


def test_answers_without_an_opening_tag_are_read_and_unreadable_ones_told(dataset, monkeypatch):
    said = [
        "It binds.</think>\n<answer>upregulated</answer>",
        "I cannot say",
        "<think>x</think><answer>I do not know</answer>",
    ]
    with peer(lambda n, body: (200, completion(said[n % 3]), {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = ask(dataset, Wanted(sample=30))
    rows = pq.read_table("p.parquet").to_pylist()
    assert (done.predicted, done.abstained, done.unread) == (30, 10, 10)
    assert {(r["answer"], r["reason"]) for r in rows} == {
        (LABELS[0], None), (None, "missing_answer"), ("I do not know", None),
    }  # fmt: skip


def test_what_fails_is_not_in_the_file_and_is_asked_again(dataset, monkeypatch, run):
    with peer(lambda n, body: (200, GOOD, {}) if n % 2 else (400, {"error": {"message": "no"}}, {})) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = ask(dataset, Wanted(sample=10))
        assert (done.predicted, done.failed) == (5, 5) and pq.read_table("p.parquet").num_rows == 5
        args = ("--store", "kept", "--json", "predict", dataset, "--model", "m", "--sample", "10", "--out", "q.parquet")
        assert json.loads(run(*args).stdout)["predicted"] == 5 and len(asked) == 10
        assert json.loads(run(*args, "--retry-failed").stdout)["asked"] == 5


def test_the_address_of_the_option_goes_before_that_of_the_environment(dataset, monkeypatch, run):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        done = run("predict", dataset, "--model", "m", "--sample", "2", "--base-url", url, "--out", "p.parquet")
    assert done.returncode == 0 and len(asked) == 2


# -- blinding


def test_a_blinded_question_holds_no_symbol_and_a_symbol_has_one_code_everywhere(dataset, model):
    ask(dataset, Wanted(sample=60), "plain.parquet")
    done = ask(dataset, Wanted(sample=60, blind=True), "blind.parquet")
    assert done.model == "m (blinded)" and done.asked == 60
    rows = {r["example_id"]: r for r in pq.read_table("blind.parquet").to_pylist()}
    asked = Store("kept").rows("SELECT subject_id, messages FROM responses WHERE messages[2].content LIKE '%GENE-%'")
    assert len(asked) == 60
    for r in asked:
        text, row = " ".join(m["content"] for m in r["messages"]), rows[r["subject_id"]]
        assert not re.search(rf"\b({row['pert']}|{row['gene']})\b", text)
        assert re.findall(r"GENE-\w+", text) == [code(row["pert"]), code(row["gene"])]
    assert len({code(g) for g in (*the_world().perts, *the_world().targets)}) == 264


def test_symbols_that_hold_each_other_or_stand_in_words_are_told_apart():
    said = "What does HLA-A do to HLA in a single-cell T line? It is HLA-A's, not HLA-AB's or THLA's."
    found = blinded([{"role": "user", "content": said}], "HLA", "HLA-A")[0]["content"]
    a, b = code("HLA-A"), code("HLA")
    assert found == f"What does {a} do to {b} in a single-cell T line? It is {a}'s, not HLA-AB's or THLA's."
    with pytest.raises(BadInput, match="TP53 does not stand in the question"):
        blinded([{"role": "user", "content": said}], "TP53")


# -- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "de"], "--task de: not one of three-class, direction"),
        (["--split", "nine"], "--split nine"),
        (["--side", "held"], "no side 'held'"),
        (["--engine", "vllm"], "--engine vllm: not one of openai, transformers"),
        (["--adapter", "x"], "--adapter: with --engine transformers alone"),
        (["--engine", "transformers", "--base-url", "http://x/v1"], "--base-url: with --engine openai alone"),
        (["--prompts", "."], "--prompts: the task three-class asks the questions of the dataset"),
        (["--out", "no/such/p.parquet"], "found no folder to write this file to"),
        (["--engine", "transformers", "--param", "top_k=5"], "--param top_k=5"),
        (["--engine", "transformers", "--samples", "3"], "--samples 3: all alike without a temperature"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(dataset, options, said, run, model):
    done = run("predict", dataset, "--model", "m", "--out", "p.parquet", *options)
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert model.counts["requests"] == 0


# -- in this process


@pytest.fixture(scope="module")
def tiny(dataset, tmp_path_factory):
    """A tiny model whose tokenizer knows the dataset's words."""
    pytest.importorskip("transformers", reason="the extra `train` is not installed")
    from curation.rehearsal.tiny import words, write_model

    rows = open_dataset(str(dataset)).table("default", "train", ["messages"])["messages"].slice(0, 50).to_pylist()
    return write_model(tmp_path_factory.mktemp("tiny") / "model", words(rows))


def test_a_batch_padded_to_the_left_says_what_each_row_says_alone(dataset, tiny):
    import torch

    from curation.rendering import prompt_ids
    from eval.local import load

    local = load(str(tiny), None, {"max_new_tokens": 12})
    chats = [
        [{"role": "user", "content": text}] for text in ("up?", "What is the regulatory effect of it all?", "down")
    ]
    prompts = [prompt_ids(local.tokenizer, chat) for chat in chats]
    assert all(p.count(local.tokenizer.bos_token_id) == 1 and p[0] == local.tokenizer.bos_token_id for p in prompts)
    together = local._generate(prompts, "1")
    alone = []
    for p in prompts:
        ids = list(p)
        with torch.inference_mode():
            for _ in range(12):
                ids.append(int(local.model(torch.tensor([ids])).logits[0, -1].argmax()))
                if ids[-1] in local.ends:
                    break
        alone.append(
            local.tokenizer.decode([i for i in ids[len(p) :] if i not in local.ends], skip_special_tokens=True)
        )
    assert [text for text, _, _ in together] == alone and len(set(map(len, prompts))) == 3


def test_a_model_in_this_process_is_predicted_kept_and_not_asked_again(dataset, tiny, run):
    def go(*more):
        args = ("predict", dataset, "--model", tiny, "--engine", "transformers", "--sample", "6", "--concurrency", "4")
        done = run("--store", "kept", "--json", *args, "--param", "max_new_tokens=8", "--out", "p.parquet", *more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first, again = go(), go()
    assert (first["answered"], first["predicted"], first["model"]) == (6, 6, "model")
    assert (again["asked"], again["cached"]) == (0, 6)
    (row,) = Store("kept").rows(
        "SELECT any_value(provider) AS provider, count(*) AS n, min(tokens_in) AS least, max(usd) AS usd,"
        " bool_and(finish_reason IN ('stop', 'length')) AS ended FROM responses"
    )
    assert (
        row == {"provider": "transformers", "n": 6, "least": row["least"], "usd": 0.0, "ended": True}
        and row["least"] > 50
    )
    assert go("--samples", "2", "--param", "temperature=1")["answered"] == 12


def test_an_adapter_is_merged_named_and_new_weights_are_asked_anew(tiny, tmp_path):
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    from eval.local import fingerprint, load

    base = AutoModelForCausalLM.from_pretrained(str(tiny))
    made = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    made.save_pretrained(tmp_path / "tuned")
    plain, tuned = (load(str(tiny), a, {"max_new_tokens": 4}) for a in (None, tmp_path / "tuned"))
    assert (plain.endpoint.model, tuned.endpoint.model) == ("model", "model+tuned")
    ids = torch.tensor([[1, 5, 9]])
    with torch.inference_mode():
        told = [m(ids).logits for m in (plain.model, tuned.model, made.eval())]
    assert not torch.allclose(told[0], told[1], atol=1e-3) and torch.allclose(told[1], told[2], atol=1e-4)
    before = fingerprint(str(tmp_path / "tuned"), None)
    assert tuned.endpoint.params["adapter"] == before
    made.save_pretrained(tmp_path / "other")
    shutil.copytree(tmp_path / "other", tmp_path / "tuned", dirs_exist_ok=True)
    assert fingerprint(str(tmp_path / "tuned"), None) == before, "the same weights"
    (tmp_path / "tuned" / "adapter_model.safetensors").write_bytes(b"others")
    assert fingerprint(str(tmp_path / "tuned"), None) != before
    for folder, said in (("tuned", "an adapter of this model"), ("none", "no adapter_config.json")):
        with pytest.raises(BadInput, match=said):
            load(str(tiny), tmp_path / folder, {})
