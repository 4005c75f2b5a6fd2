"""Training: what the loss is on, that it falls, that nothing is lost when it stops, and what it leaves behind."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import COMMAND
from datasets import Dataset
from kit.tiny import family
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, DataCollatorForLanguageModeling, TrainerCallback
from trl import SFTConfig, SFTTrainer

import journey
from curation.errors import BadInput, Interrupted, TrainingStopped
from curation.published import open_dataset
from curation.rehearsal.tiny import BOS, EOS, words, write_model
from curation.rendering import load_tokenizer, prompt_ids, render
from training import adapter, backends, checkpoints, commands, run
from training.curve import curve
from training.rows import tokens
from training.run import train
from training.settings import Settings

QUICK = {"epochs": 2, "learning_rate": 5e-3, "rank": 8, "alpha": 8}
OPTIONS = ["--epochs", "2", "--learning-rate", "5e-3", "--rank", "8", "--alpha", "8"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The threads of so small a model wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(dataset, tmp_path_factory):
    chats = open_dataset(str(dataset)).table("default", "train")["messages"].to_pylist()
    return write_model(tmp_path_factory.mktemp("model") / "tiny", words(chats), vocabulary=1024)


@pytest.fixture(scope="module")
def quick(model):
    return Settings(model=str(model), **QUICK)


@pytest.fixture(scope="module")
def trained(dataset, quick, tmp_path_factory):
    """A training from its beginning to its end."""
    out = tmp_path_factory.mktemp("trained") / "adapter"
    said = []
    return train(str(dataset), settings=quick, out=out, say=said.append), out, said


def steps(out):
    return [r for r in pq.read_table(out / "log.parquet").to_pylist() if r["loss"] is not None]


# -- what it finds


def test_the_loss_falls_and_the_best_is_kept(trained):
    found, out, _ = trained
    first, last = found["epochs"]
    assert last["loss"] < first["loss"] and last["validation"] < first["validation"]
    losses = [r["loss"] for r in steps(out)]
    assert sum(losses[-5:]) < 0.92 * sum(losses[:5])
    assert found["best"] == min(found["epochs"], key=lambda e: e["validation"])
    assert not (out / "checkpoints").exists() and not (out / ".lock").exists()


def test_what_is_left_behind_tells_what_was_done(trained, dataset, quick):
    found, out, said = trained
    held = json.loads((out / "training.json").read_text())
    data = open_dataset(str(dataset))
    assert held == json.loads(json.dumps(found)) and held["state"] == "done"
    assert held["dataset"] == {
        "name": "traces", "version": "1.0.0", "row_hash": data.row_hash, "split": "default", "simulated": True,
    }  # fmt: skip
    assert held["settings"] == quick.told() and held["backend"] == {"name": "trl", "why": "no GPU for unsloth"}
    assert said[0] == "backend trl: no GPU for unsloth"
    rows = data.table("default", "train")
    assert held["rows"]["train"]["rows"] == rows.num_rows and held["rows"]["train"]["too_long"] == {}
    assert held["tokens"] == 2 * held["rows"]["train"]["tokens"] and held["tokens_per_second"] > 0
    assert {"torch", "transformers", "trl", "peft", "synthpert", "python"} <= set(held["versions"])
    card = (out / "README.md").read_text()
    assert "> **Simulated.**" in card and f"sha256 {data.row_hash}" in card and "traces 1.0.0, default" in card
    assert "{{" not in card and "{%" not in card
    log = pq.read_table(out / "log.parquet")
    assert {"step", "epoch", "loss", "eval_loss", "tokens", "seconds", "memory_gb"} <= set(log.column_names)
    assert (out / "loss.svg").read_text().startswith("<svg xmlns")


def test_the_adapter_reloads_and_batched_is_single(trained, dataset):
    out = trained[1]
    tokenizer = load_tokenizer(str(out))
    own = AutoPeftModelForCausalLM.from_pretrained(out)
    assert own.peft_config["default"].r == 8 and set(own.peft_config["default"].target_modules) == set(backends.LAYERS)
    chats = open_dataset(str(dataset)).table("default", "test", ["messages"]).slice(0, 3)["messages"].to_pylist()
    asked = [prompt_ids(tokenizer, chat) for chat in chats]
    batch = tokenizer.pad({"input_ids": asked}, return_tensors="pt")
    with torch.no_grad():
        together = own.generate(**batch, do_sample=False, max_new_tokens=12)[:, batch["input_ids"].shape[1] :]
        for ids, row in zip(asked, together.tolist(), strict=True):
            alone = own.generate(input_ids=torch.tensor([ids]), do_sample=False, max_new_tokens=12)[0, len(ids) :]
            cut = row[: row.index(tokenizer.eos_token_id) + 1] if tokenizer.eos_token_id in row else row
            assert alone.tolist() == cut


def test_the_curve_is_drawn_whatever_the_length():
    entries = [{"step": i, "epoch": i / 1000, "loss": 3.0 - i / 2000} for i in range(1, 4001)]
    alone = curve(entries, 4000)
    assert alone.count("<polyline") == 1 and len(re.findall(r"[\d.]+,[\d.]+", alone)) <= 600
    both = curve([*entries, {"step": 2000, "epoch": 2.0, "eval_loss": 1.5}], 2000)
    assert both.count("<polyline") == 2 and "kept" in both


# -- what the loss is on: each trap of the usual ways, and ours


def plain(model, rows, folder, **config):
    """The trainer as it is usually set up."""
    args = {"bf16": False, "use_cpu": True, "gradient_checkpointing": False, "report_to": "none"} | config
    return SFTTrainer(
        model=str(model), args=SFTConfig(output_dir=str(folder), **args), processing_class=load_tokenizer(str(model)),
        train_dataset=Dataset.from_list(rows),
    )  # fmt: skip


def labelled(trainer, n=0):
    batch = trainer.data_collator([trainer.train_dataset[n]])
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    return trainer.processing_class.decode([i for i, label in zip(ids, labels, strict=True) if label != -100])


def ours(model, dataset, folder, settings):
    tokenizer = load_tokenizer(str(model))
    data = open_dataset(str(dataset))
    sides = run.Side(*(tokens(data, "default", s, tokenizer, max_length=2048) for s in ("train", "validation")))
    own = backends.load(backends.Backend("trl", ""), settings)
    return run.make_trainer(own, tokenizer, settings, sides, folder, [], None), sides


@pytest.fixture
def chats(dataset):
    return open_dataset(str(dataset)).table("default", "train", ["messages", "reasoning"]).to_pylist()


def test_the_trainer_takes_the_loss_on_reasoning_answer_and_end(model, dataset, quick, chats, tmp_path):
    trainer, sides = ours(model, dataset, tmp_path / "c", quick)
    run.verify(trainer, sides.train)
    for n in (0, 7):
        text = labelled(trainer, n)
        assert chats[n]["reasoning"] in text and text.endswith(f"</answer>{EOS}")
        assert chats[n]["messages"][1]["content"] not in text
        assert trainer.train_dataset[n]["input_ids"].count(trainer.processing_class.bos_token_id) == 1


def test_the_usual_way_loses_the_reasoning_and_takes_the_loss_on_the_question(model, chats, tmp_path):
    text = labelled(plain(model, [{"messages": c["messages"]} for c in chats[:4]], tmp_path))
    assert chats[0]["reasoning"] not in text and chats[0]["messages"][1]["content"] in text


def test_the_papers_way_doubles_bos(model, chats, tmp_path):
    tokenizer = load_tokenizer(str(model))
    texts = [{"text": tokenizer.apply_chat_template(c["messages"], tokenize=False)} for c in chats[:4]]
    trainer = plain(model, texts, tmp_path)
    assert trainer.train_dataset[0]["input_ids"].count(tokenizer.bos_token_id) == 2
    assert chats[0]["reasoning"] not in labelled(trainer)


def test_the_usual_way_cuts_the_answer_and_ours_leaves_the_row_out(model, dataset, quick, chats, tmp_path):
    tokenizer = load_tokenizer(str(model))
    rendered = [render(tokenizer, c["messages"]) for c in chats]
    limit = sorted(len(r.input_ids) for r in rendered)[len(rendered) // 2]
    rows = [{"input_ids": r.input_ids, "labels": r.labels} for r in rendered if len(r.input_ids) > limit]
    longest = sorted(rows, key=lambda r: -len(r["labels"]))  # one token too many would leave the answer's tags
    cut = labelled(plain(model, longest, tmp_path, max_length=limit))
    assert "</answer>" not in cut and not cut.endswith(EOS)
    kept = tokens(open_dataset(str(dataset)), "default", "train", tokenizer, max_length=limit)
    assert len(kept.too_long) == len(rows) and kept.table.num_rows == len(rendered) - len(rows)
    assert all(r["labels"][-1] == tokenizer.eos_token_id for r in kept.table.to_pylist())
    assert kept.longest <= limit < min(kept.too_long.values())


def test_rows_too_long_are_counted_and_told(model, dataset, quick, tmp_path):
    said = []
    with pytest.raises(BadInput, match=r"validation: none of its \d+ rows fits|train: none of its \d+ rows fits"):
        train(str(dataset), settings=replace(quick, max_length=20), out=tmp_path / "a", say=said.append)
    lengths = tokens(open_dataset(str(dataset)), "default", "train", load_tokenizer(str(model)), max_length=4096)
    limit = max(lengths.longest - 1, 20)
    with pytest.raises(BadInput, match="positive integer"):  # far enough to have told
        train(str(dataset), settings=replace(quick, max_length=limit, rank=0), out=tmp_path / "b", say=said.append)
    assert any(re.match(rf"train: left out \d+ rows longer than --max-length {limit:,}", line) for line in said)


def test_a_collator_that_hides_the_end_is_found(model, dataset, quick, tmp_path):
    """Padding is EOS here as it is in the real model, and the usual collator hides each padding token."""
    trainer, sides = ours(model, dataset, tmp_path / "c", quick)

    def usual(rows):
        return DataCollatorForLanguageModeling(trainer.processing_class, mlm=False)(
            [{"input_ids": r["input_ids"]} for r in rows]
        )

    trainer.data_collator = usual
    last = usual(sides.train.table.slice(0, 1).to_pylist())["labels"][0].tolist()[-1]
    assert last == -100
    with pytest.raises(BadInput, match="not on those rendered"):
        run.verify(trainer, sides.train)


def changed(dataset, folder, change):
    """A copy of the dataset with one row changed, and a manifest that vouches for it."""
    shutil.copytree(dataset, folder)
    file = next(folder.glob("default/train-*.parquet"))
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows[5])
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file.relative_to(folder).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return rows[5]["trace_id"]


BROKEN = {
    "an end in the middle": (
        lambda r: r["messages"][-1].update(content=f"<think>a{EOS}b</think><answer>x</answer>"),
        "EOS",
    ),
    "reasoning of another row": (
        lambda r: r.update(reasoning="something else"),
        "reasoning is not in the trained part",
    ),
    "no answer": (lambda r: r["messages"][-1].update(content=f"<think>\n{r['reasoning']}\n</think>\n"), "no <answer>"),
    "a beginning in the question": (lambda r: r["messages"][1].update(content=BOS + "What?"), f"2 of {BOS}, wanted 1"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_row_that_is_wrong_stops_it_before_the_first_step(what, dataset, quick, tmp_path):
    change, told = BROKEN[what]
    row_id = changed(dataset, tmp_path / "data", change)
    with pytest.raises(BadInput) as e:
        train(str(tmp_path / "data"), settings=quick, out=tmp_path / "out")
    assert str(e.value).startswith(f"row {row_id}: ")
    assert told in str(e.value) or "reasoning is not" in str(e.value)
    assert not (tmp_path / "out").exists()


def test_answers_alone(model, dataset, quick, tmp_path, monkeypatch):
    found = train(str(dataset), settings=replace(quick, direct=True, epochs=1))
    assert found["out"] == "traces-1.0.0-default-direct" and Path(found["out"], "adapter_model.safetensors").exists()
    rows = found["rows"]["train"]
    assert rows["tokens_trained"] < 40 * rows["rows"]
    assert "answers alone" in Path(found["out"], "README.md").read_text()


# -- stopping, and going on


class StopAt(TrainerCallback):
    """Presses Ctrl-C in the middle of a step."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def stopping(monkeypatch, step):
    make = run.make_trainer

    def with_stop(*args):
        trainer = make(*args)
        trainer.add_callback(StopAt(step))
        return trainer

    monkeypatch.setattr(run, "make_trainer", with_stop)


@pytest.mark.parametrize("where", ["in an epoch", "at its end"])
def test_resumed_is_straight(where, trained, dataset, quick, tmp_path, monkeypatch, capsys):
    straight = steps(trained[1])
    an_epoch = len(straight) // 2
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        stopping(patch, an_epoch + 2 if where == "in an epoch" else an_epoch - 1)
        with pytest.raises(Interrupted, match="the same command goes on from here"):
            train(str(dataset), settings=quick, out=out)
    stopped_at = an_epoch + 3 if where == "in an epoch" else an_epoch
    assert checkpoints.newest(out / "checkpoints").name == f"checkpoint-{stopped_at}"
    (out / "checkpoints" / "checkpoint-999").mkdir()  # what a killed run leaves of one
    said = []
    found = train(str(dataset), settings=quick, out=out, say=said.append)
    assert f"going on from checkpoint-{stopped_at}" in said
    resumed = steps(out)
    assert [r["loss"] for r in resumed] == [r["loss"] for r in straight]
    assert [r["tokens"] for r in resumed] == [r["tokens"] for r in straight]
    assert [e["validation"] for e in found["epochs"]] == [e["validation"] for e in trained[0]["epochs"]]
    one, other = (load_file(o / "adapter_model.safetensors") for o in (out, trained[1]))
    assert all(torch.equal(one[k], other[k]) for k in other)


def test_a_killed_one_goes_on_and_a_stopped_terminal_is_told(trained, dataset, model, tmp_path):
    """As a user does it: the command, killed with -9 once it has written a checkpoint, and typed again."""
    command = [*COMMAND, "train", str(dataset), "--model", str(model), *OPTIONS, "--out", "out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while process.poll() is None and not list(Path("out").glob("checkpoints/*/whole")):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    again = subprocess.run([*COMMAND, "--json", *command[len(COMMAND) :]], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["epochs"][-1]["validation"] == trained[0]["epochs"][-1]["validation"]
    assert "going on from checkpoint-" in again.stderr or "nothing to do" in again.stderr
    assert "next: synthpert merge out" in again.stderr and "Traceback" not in again.stderr
    assert "Warning" not in again.stderr and "Loading weights" not in again.stderr


def test_a_full_disk_leaves_the_last_checkpoint_whole(trained, dataset, quick, tmp_path, monkeypatch):
    out, second = tmp_path / "out", len(steps(trained[1]))
    full = out / "checkpoints" / f"checkpoint-{second}"
    full.mkdir(parents=True)
    (full / "optimizer.pt").symlink_to("/dev/full")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "clear", lambda folder: None)
        patch.setattr(run.record, "take_up", lambda out, begun: None)
        with pytest.raises(TrainingStopped, match="no space is left on this disk; the last whole checkpoint stands"):
            train(str(dataset), settings=quick, out=out)
    assert list(checkpoints.held(out / "checkpoints")) == [second // 2]
    (out / "training.json").write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr(run.record, "take_up", lambda out, begun: None)
        found = train(str(dataset), settings=quick, out=out)
    assert [e["validation"] for e in found["epochs"]] == [e["validation"] for e in trained[0]["epochs"]]


def test_no_memory_says_which_dial_to_turn(dataset, quick, tmp_path, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(SFTTrainer, "training_step", full)
    with pytest.raises(
        TrainingStopped, match="--batch-size 2 --accumulate 2 .the same result., --max-length below 2,048"
    ):
        train(str(dataset), settings=quick, out=tmp_path / "out")


def test_it_stops_when_patience_is_over_and_stays_stopped(dataset, quick, tmp_path, monkeypatch):
    idle = replace(quick, learning_rate=0.0, epochs=9, patience=1)
    found = train(str(dataset), settings=idle, out=tmp_path / "out")
    assert [e["epoch"] for e in found["epochs"]] == [1.0, 2.0] and found["best"]["epoch"] == 1.0
    first, last = (load_file(tmp_path / "out" / d / "adapter_model.safetensors") for d in ("", "last"))
    assert first.keys() == last.keys()
    assert checkpoints.is_over([{"eval_loss": 1.0}, {"eval_loss": 1.0}], 1)
    assert not checkpoints.is_over([{"eval_loss": 1.0}, {"eval_loss": 0.9}], 1) and not checkpoints.is_over([], 1)


def test_a_folder_holds_one_training(trained, dataset, quick, tmp_path, monkeypatch):
    out = trained[1]
    said = []
    assert train(str(dataset), settings=quick, out=out, say=said.append)["epochs"] == trained[0]["epochs"]
    assert said[-1].endswith("this training is done; nothing to do")
    with pytest.raises(BadInput, match="a training of settings with seed 3407, and not 1"):
        train(str(dataset), settings=replace(quick, seed=1), out=out)
    with pytest.raises(BadInput, match="a training of dataset with split default, and not rpe1_holdout"):
        train(str(dataset), "rpe1_holdout", settings=quick, out=out)
    with pytest.raises(BadInput, match="4bit"):
        train(str(dataset), settings=replace(quick, load_in_4bit=True), out=tmp_path / "again")
    with pytest.raises(BadInput, match="FlashAttention"):  # what came to nothing does not stand in the way
        train(str(dataset), settings=replace(quick, packing=True), out=tmp_path / "again")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(BadInput, match=r"this holds thesis.txt and no training.json"):
        train(str(dataset), settings=quick, out=tmp_path / "mine")
    with run._alone(tmp_path / "busy"), pytest.raises(BadInput, match="another training is writing there"):
        train(str(dataset), settings=quick, out=tmp_path / "busy")


# -- where it runs


def test_what_cannot_run_here_is_one_line(dataset, quick, tmp_path):
    wrong = {
        "not one of auto, unsloth, trl": {"backend": "jax"},
        "--backend unsloth: no GPU for unsloth; --backend trl does without": {"backend": "unsloth"},
        "--load-in-4bit: this needs an NVIDIA GPU": {"settings": replace(quick, load_in_4bit=True)},
        "--packing: this needs FlashAttention": {"settings": replace(quick, packing=True)},
        "--report-to wandb": {"report_to": "wandb"},
        "no tokenizer can be loaded": {"settings": replace(quick, model="nothing/here")},
        "--split nope": {"split": "nope"},
    }
    for n, (line, given) in enumerate(wrong.items()):
        with pytest.raises(BadInput) as e:
            train(str(dataset), **({"settings": quick, "out": tmp_path / str(n)} | given))
        assert line in str(e.value) and "\n" not in str(e.value)


def test_a_model_with_other_layers_is_one_line(dataset, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = family("r1-distill")
    tokenizer.save_pretrained(tmp_path / "gpt")
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 4096}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path / "gpt")
    with pytest.raises(BadInput, match="Target modules"):
        train(str(dataset), settings=Settings(model=str(tmp_path / "gpt"), max_length=4096), out=tmp_path / "out")


def test_a_gpu_takes_unsloth_and_unsloth_comes_first(tmp_path):
    """A stand-in for unsloth, which runs on no CPU: it looks at what was imported before it."""
    (tmp_path / "unsloth").mkdir()
    (tmp_path / "unsloth" / "__init__.py").write_text("import sys\nFIRST = 'transformers' not in sys.modules\n")
    code = f"""
import sys, torch
sys.path.insert(0, {str(tmp_path)!r})
torch.cuda.is_available = lambda: True
torch.cuda.get_device_name = lambda *a: "Tesla K80"
torch.cuda.get_device_capability = lambda *a: CAPABILITY
import training.commands, training.run
from training.backends import choose
CAPABILITY = (3, 7)
print(choose().why)
import os
CAPABILITY = (9, 0)
os.environ["WORLD_SIZE"] = "2"
print(choose().why)
os.environ["ACCELERATE_USE_FSDP"] = "true"
print(choose().why)
del os.environ["WORLD_SIZE"], os.environ["ACCELERATE_USE_FSDP"]
print(*choose())
import unsloth
print(unsloth.FIRST)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "Tesla K80 is older than what unsloth supports",
        "several processes",
        "the model is sharded, which unsloth does not do",
        "unsloth a supported GPU and the package are there",
        "True",
    ], done.stderr


def test_two_processes_train_one_adapter(dataset, model, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "training"]
    options = [*OPTIONS, "--epochs", "1", "--batch-size", "2", "--out", "out"]
    done = subprocess.run([*launch, str(dataset), "--model", str(model), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    held = json.loads(Path("out/training.json").read_text())
    rows = held["rows"]["train"]["rows"]
    assert held["processes"] == 2 and held["state"] == "done" and held["steps"] == -(-rows // 4)
    assert done.stdout.count("tokens/s") == 1 and done.stderr.count("backend trl") == 1
    losses = [r["loss"] for r in steps(Path("out"))]
    assert losses[-1] < losses[0]


def test_the_rehearsal_trains_a_tiny_model(dataset, tmp_path, monkeypatch):
    said = []
    assert journey._train(dataset, tmp_path, said.append)[-1]["epoch"] == 1.0
    first, last = map(float, re.search(r"loss ([\d.]+) to ([\d.]+)", said[0]).groups())
    assert last < first and (tmp_path / "tiny-lora" / "adapter_model.safetensors").exists()
    monkeypatch.setattr("training.rehearsal.find_spec", lambda name: None)
    assert journey._train(dataset, tmp_path / "none", said.append) == []
    assert said[1:] == ["7. train: skipped: the extra is not installed (pip install 'synthpert[train]')"]


def test_the_page_names_what_there_is():
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    takes = set(re.findall(r'"(--[\w-]+)"', Path(commands.__file__).read_text()))
    takes |= {f"--{name.replace('_', '-')}" for f in (commands.train, commands.render) for name in f.__annotations__}
    assert set(re.findall(r"`(--[a-z][\w-]+)", page)) <= takes
    defaults = Settings()
    assert f"seed\n{defaults.seed}" in page and f"rank {defaults.rank}, alpha {defaults.alpha}" in page


# -- merging


def test_merged_answers_as_before(trained, run, tmp_path):
    done = run("--json", "merge", trained[1], "--out", tmp_path / "merged")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["prompts"], found["same"], found["dtype"]) == (4, 4, "float32") and found["off"] < 0.01
    own = AutoPeftModelForCausalLM.from_pretrained(trained[1])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    ids = torch.tensor([prompt_ids(load_tokenizer(str(tmp_path / "merged")), adapter._chats()[0])])
    with torch.no_grad():
        assert torch.allclose(own(input_ids=ids).logits, merged(input_ids=ids).logits, atol=1e-3)
    assert "## Merged" in (tmp_path / "merged" / "README.md").read_text()
    full = run("merge", trained[1], "--out", tmp_path / "merged")
    assert full.returncode == 1 and "not an empty folder" in full.stderr


def test_a_merge_that_loses_the_adapter_writes_nothing(trained, tmp_path, monkeypatch):
    from peft import LoraModel

    monkeypatch.setattr(LoraModel, "merge_and_unload", LoraModel.unload)
    with pytest.raises(BadInput, match="nothing was written"):
        adapter.merge(trained[1], tmp_path / "merged")
    assert not list(tmp_path.glob("*merged*"))


def test_what_is_no_adapter_is_one_line(trained, tmp_path):
    with pytest.raises(BadInput, match="no adapter_config.json"):
        adapter.merge(tmp_path)
    folder = shutil.copytree(trained[1], tmp_path / "a")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "gone/base"}))
    with pytest.raises(BadInput, match="its base cannot be loaded"):
        adapter.merge(folder)


def test_where_two_answers_part_only_a_tie_is_forgiven():
    logits = torch.tensor([[0.0, 5.0], [3.0, 2.9]])
    assert adapter._gap(logits, [1, 0], [1, 1]) == pytest.approx(0.1)
    assert adapter._gap(logits, [1, 0], [1]) == float("inf")
