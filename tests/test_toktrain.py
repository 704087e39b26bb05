"""toktrain, the installed command: what it makes, how it ends, what it refuses."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Runner
from hand_records import lines_of, piece, record_of, unknown_tok
from tqdm import tqdm
from training_data import store_of

from midigen import checkpointing, modelfolder
from midigen.errors import MidigenError
from midigen.heldout import HeldOut, Report
from midigen.jsonl import loads
from midigen.metrics import Metrics
from midigen.optimizer import Optimizer
from midigen.preparation import Prepared, prepare
from midigen.schedule import default_decay
from midigen.settings import Settings
from midigen.trainer import Trainer
from midigen.windows import Batch

TINY = (
    *("--model", "llama:width=16,layers=1,head=8", "--preset", "tiny", "--window", "32"),
    *("--batch", "128", "--eval-tokens", "300", "--evals", "3", "--device", "cpu"),
    *("--patience", "0", "--condition-least", "2"),
)
STATE = "training/state.safetensors"
ENV = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def stream(run: Runner) -> Path:
    """Forty pieces, and a transposed copy of each."""
    pieces = [piece(k) for k in range(40)]
    copies = [record | {"aug": {"shift": 1}} for record in pieces]
    path = run.folder / "in.jsonl"
    path.write_bytes(lines_of([*pieces, *copies]))
    return path


def events(data: bytes, name: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, data.splitlines()) if line["event"] == name]


def started(run: Runner, *args: str | Path, steps: int) -> subprocess.Popen[bytes]:
    """Start a long run; return when it has trained `steps` steps at least."""
    command = [str(run.bin_dir / "toktrain"), *map(str, args)]
    process = subprocess.Popen(
        command, cwd=run.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=run.env
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "eval" and json.loads(line)["step"] >= steps:
            return process
    raise AssertionError(process.communicate()[1].decode())


def test_makes_a_whole_model_folder_and_nothing_else(run: Runner, stream: Path) -> None:
    done = run("toktrain", stream, "-o", "m", "--steps", "6", *TINY)
    assert sorted(p.name for p in run.folder.iterdir()) == ["in.jsonl", "m"]
    names = {p.name for p in (run.folder / "m").iterdir()}
    assert names == {
        *("model.safetensors", "config.json", "vocab.json", "split.json", "README.md"),
        "tokenizer.json",
        *("metrics.jsonl", "curves.png", "training"),
    }
    assert (run.folder / "m/metrics.jsonl").read_bytes() == done.out
    assert [line["step"] for line in events(done.out, "eval")] == [2, 4, 6]
    final = events(done.out, "final")[0]
    card = (run.folder / "m/README.md").read_text()
    for name in ("val", "test"):
        assert final[name]["loss_note"] > final[name]["loss"] > 0
        assert f"{final[name]['loss_note']:.4f}" in card
    vocab = modelfolder.load(run.folder / "m").vocab
    assert set(vocab.conditions) == {"genre", "artist", "era"}


def test_reads_stdin_and_names_the_folder_itself(run: Runner, stream: Path) -> None:
    (run.folder / "midigen-model-1").mkdir()
    done = run("toktrain", "--steps", "2", *TINY, stdin=stream.read_bytes())
    assert "midigen-model-2" in done.err
    assert (run.folder / "midigen-model-2/model.safetensors").is_file()


def test_weights_depend_on_the_seed_and_the_records_not_on_their_order(
    run: Runner, stream: Path
) -> None:
    lines = stream.read_bytes().splitlines(keepends=True)
    for name, data, seed in (("a", lines, "5"), ("b", lines[::-1], "5"), ("c", lines, "6")):
        run("toktrain", "-o", name, "--steps", "3", "--seed", seed, *TINY, stdin=b"".join(data))
    a, b, c = ((run.folder / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(("number", "growth"), [(signal.SIGINT, 0), (signal.SIGKILL, 0.7)])
def test_a_stopped_run_goes_on_bit_for_bit(
    run: Runner, stream: Path, number: signal.Signals, growth: float
) -> None:
    args = ("--steps", "90", *(x if x != "3" else "45" for x in TINY))
    args += ("--window", "64", "--window-growth", str(growth))
    run("toktrain", stream, "-o", "whole", *args)
    process = started(run, stream, "-o", "part", *args, steps=6)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert not (run.folder / "part").exists()
    assert checkpointing.read_progress(run.folder / "part.training/training").step < 90
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert b"toktrain --resume -o part" in err
    done = run("toktrain", "--resume", "-o", "part")
    assert not (run.folder / "part.training").exists()
    for name in ("model.safetensors", STATE):
        assert weights_of(run.folder / "part" / name) == weights_of(run.folder / "whole" / name)
    steps = [
        line["step"] for line in events((run.folder / "part/metrics.jsonl").read_bytes(), "eval")
    ]
    assert steps == sorted(set(steps)) and steps[-1] == 90
    assert events(done.out, "final") == events(
        (run.folder / "whole/metrics.jsonl").read_bytes(), "final"
    )


def test_what_is_best_in_short_windows_neither_ends_a_run_nor_is_kept(
    run: Runner, stream: Path
) -> None:
    args = ("--window", "64", "--window-growth", "0.6", "--evals", "20", "--lr", "1e-12")
    out = run("toktrain", stream, "-o", "m", "--steps", "40", *TINY, *args, "--patience", "1").out
    evals, (final,) = events(out, "eval"), events(out, "final")
    assert sorted({line["window"] for line in evals}) == [8, 16, 32, 64]
    assert evals[-1]["window"] == 64 and evals[-1]["step"] < 40
    kept = next(line for line in evals if line["step"] == final["step"])
    assert kept["window"] == 64


def weights_of(path: Path) -> dict[str, list[Any]]:
    from safetensors.numpy import load_file

    return {name: value.tolist() for name, value in load_file(path).items()}


def test_a_finished_run_goes_on_with_more_steps(run: Runner, stream: Path) -> None:
    run("toktrain", stream, "-o", "m", "--steps", "3", *TINY)
    refused = run("toktrain", "--resume", "-o", "m", code=2)
    assert "--steps" in refused.err
    run("toktrain", "--resume", "-o", "m", "--steps", "5")
    assert checkpointing.read_progress(run.folder / "m/training").step == 5
    assert sorted(p.name for p in run.folder.iterdir()) == ["in.jsonl", "m"]


def test_resume_refuses_other_settings_and_a_stream(run: Runner, stream: Path) -> None:
    run("toktrain", stream, "-o", "m", "--steps", "2", *TINY)
    assert "seed 0, not 3" in run("toktrain", "--resume", "-o", "m", "--seed", "3", code=2).err
    assert "no records" in run("toktrain", stream, "--resume", "-o", "m", code=2).err
    assert "nothing to resume" in run("toktrain", "--resume", "-o", "none", code=1).err
    assert not (run.folder / "m.training").exists()


def test_interrupted_while_reading_leaves_nothing(run: Runner, stream: Path) -> None:
    process = subprocess.Popen(
        [str(run.bin_dir / "toktrain"), "-o", "m", *TINY],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=run.folder,
        env=run.env,
    )
    assert process.stdin is not None
    process.stdin.write(stream.read_bytes())
    process.stdin.flush()
    waited = time.monotonic() + 30
    while not (run.folder / "m.training/training/store/ids.bin").exists():
        assert time.monotonic() < waited and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert [p.name for p in run.folder.iterdir()] == ["in.jsonl"]


def test_goes_on_when_the_reader_of_its_metrics_leaves(run: Runner, stream: Path) -> None:
    args = " ".join(TINY)
    done = run.shell(f"set +o pipefail; toktrain {stream} -o m --steps 6 {args} | head -n 1")
    assert len(done.lines) == 1
    assert "Traceback" not in done.err and "BrokenPipe" not in done.err
    lines = (run.folder / "m/metrics.jsonl").read_bytes()
    assert len(events(lines, "final")) == 1


def test_does_not_touch_a_model_that_is_there(run: Runner, stream: Path) -> None:
    run("toktrain", stream, "-o", "m", "--steps", "2", *TINY)
    before = (run.folder / "m/model.safetensors").read_bytes()
    refused = run("toktrain", stream, "-o", "m", "--steps", "2", "--seed", "1", *TINY, code=1)
    assert "m holds a model" in refused.err and "--force" in refused.err
    assert (run.folder / "m/model.safetensors").read_bytes() == before
    run("toktrain", stream, "-o", "m", "--steps", "2", "--seed", "1", "--force", *TINY)
    assert (run.folder / "m/model.safetensors").read_bytes() != before
    assert sorted(p.name for p in run.folder.iterdir()) == ["in.jsonl", "m"]


def test_an_unfinished_run_is_not_dropped_in_silence(run: Runner, stream: Path) -> None:
    run("toktrain", stream, "-o", "m", "--steps", "2", *TINY)
    (run.folder / "m").rename(run.folder / "m.training")
    refused = run("toktrain", stream, "-o", "m", "--steps", "2", *TINY, code=1)
    assert "unfinished" in refused.err and "--resume" in refused.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--steps", "2", "--minutes", "1"), 2, "exclude"),
        (("--window", "4"), 2, "--window 4"),
        (("--batch", "16"), 2, "--batch 16"),
        (("--minutes", "0"), 2, "--minutes 0"),
        (("--preset", "huge"), 2, "tiny, small, base"),
        (("--model", "lama"), 1, "installed: llama"),
        (("--model", "llama:depth=3"), 2, "layers"),
        (("--model", "llama:layers=many"), 2, "layers=many"),
        (("--condition", "mood"), 1, "--condition mood: no value of it"),
        (("--condition", "a b"), 2, "no key of meta"),
        (("--specials", "some"), 2, "auto or none"),
        (("--save-dtype", "int8"), 2, "bf16"),
        (("--device", "tpu"), 2, "cpu"),
        (("--window", "8192", "--batch", "8192"), 1, "too little to train on"),
    ],
)
def test_refuses_what_cannot_be(
    run: Runner, stream: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    done = run("toktrain", stream, "-o", "m", *TINY[:2], *TINY[-8:], *args, code=code)
    assert said in done.err and done.err.count("\n") <= 2
    assert [p.name for p in run.folder.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "no pieces"),
        ([record_of(["Bar_None"], tok=unknown_tok())], "nowhere"),
        ([piece(1), piece(2) | {"tok": "remi:drums=0#00000000"}], "in.jsonl:2"),
        ([piece(1) | {"meta": {"split": "train"}}, piece(2) | {"meta": {"split": "train"}}], "val"),
        ([record_of(["Bar_None"])], "too short"),
    ],
)
def test_refuses_streams_that_teach_nothing(run: Runner, records: list[Any], said: str) -> None:
    (run.folder / "in.jsonl").write_bytes(lines_of(records))
    done = run("toktrain", "in.jsonl", "-o", "m", "--steps", "1", *TINY, code=1)
    assert said in done.err
    assert [p.name for p in run.folder.iterdir()] == ["in.jsonl"]


def test_bad_records_are_counted_listed_and_left_out(run: Runner, stream: Path) -> None:
    bad = [record_of([], name="x"), piece(50) | {"meta": {"split": "nowhere"}}]
    bad.append(piece(51) | {"ids": [4, 60000]})
    with stream.open("ab") as file:
        file.write(lines_of(bad) + b"{not json}\n")
    args = ("-o", "m", "--steps", "1", "--rejects", "bad.jsonl", *TINY)
    done = run("toktrain", stream, *args)
    assert "4 rejected" in done.err
    reasons = [loads(line)["reason"] for line in (run.folder / "bad.jsonl").open("rb")]
    assert sorted(reasons) == ["empty", "ids", "json", "split"]
    strict = run("toktrain", stream, "-o", "n", "--steps", "1", "--strict", *TINY, code=1)
    assert "in.jsonl:81" in strict.err
    assert not (run.folder / "n.training").exists()


def test_dry_run_says_what_would_happen_and_leaves_nothing(run: Runner, stream: Path) -> None:
    plan = json.loads(run("toktrain", stream, "--dry-run", "--epochs", "3", *TINY).out)
    assert sum(plan[name]["pieces"] for name in ("train", "val", "test")) == 80 - sum(
        plan[name]["pieces"] for name in ("val", "test")
    )
    assert plan["train"]["copies"] * 2 == plan["train"]["pieces"]
    assert plan["val"]["copies"] == plan["test"]["copies"] == 0
    assert plan["parameters"] > 10_000 and plan["memory_mb"] > 50
    assert plan["epochs"] == pytest.approx(3, rel=0.1)
    assert [p.name for p in run.folder.iterdir()] == ["in.jsonl"]


def test_a_store_is_kept_reused_and_sealed(run: Runner, stream: Path) -> None:
    run("toktrain", stream, "-o", "a", "--store", "s", "--steps", "3", *TINY)
    assert not (run.folder / "a/training/store").exists()
    stream.rename(run.folder / "gone.jsonl")
    run("toktrain", "-o", "b", "--store", "s", "--steps", "3", *TINY)
    weights = [(run.folder / n / "model.safetensors").read_bytes() for n in "ab"]
    assert weights[0] == weights[1]
    run("toktrain", "gone.jsonl", "-o", "c", "--store", "s", "--steps", "1", *TINY)
    (run.folder / "other.jsonl").write_bytes(lines_of([piece(k) for k in range(30)]))
    args = ("other.jsonl", "-o", "d", "--store", "s", "--steps", "1", *TINY)
    assert "another stream" in run("toktrain", *args, code=1).err
    with (run.folder / "s/ids.bin").open("ab") as file:
        file.write(b"\0\0")
    assert "its seal says" in run("toktrain", "-o", "e", "--store", "s", *TINY, code=1).err
    run("toktrain", "--resume", "-o", "a", "--steps", "4", code=1)


def test_merges_specials_and_storage_are_as_asked(run: Runner, stream: Path) -> None:
    args = ("--bpe", "30", "--save-dtype", "fp16", "--condition", "genre", "--no-state")
    run("toktrain", stream, "-o", "m", "--steps", "2", *args, *TINY)
    loaded = modelfolder.load(run.folder / "m")
    assert 0 < len(loaded.vocab.expansions) <= 30
    assert list(loaded.vocab.conditions) == ["genre"]
    assert loaded.config["torch_dtype"] == "float16"
    assert not (run.folder / "m/training").exists()
    none = ("--specials", "none", "--condition", "none")
    run("toktrain", stream, "-o", "n", "--steps", "2", *none, *TINY)
    plain = modelfolder.load(run.folder / "n").vocab
    assert len(plain) == len(plain.base) and plain.bos is plain.eos is plain.pad is None


def test_a_single_piece_holds_its_last_tenth_out(run: Runner) -> None:
    words = [w for k in range(30) for w in ("Bar_None", "Position_0", "Pitch_60", "Velocity_63")]
    (run.folder / "one.jsonl").write_bytes(lines_of([record_of(words)]))
    done = run("toktrain", "one.jsonl", "-o", "m", "--steps", "2", *TINY)
    final = events(done.out, "final")[0]
    assert final["val"] == final["test"]
    assert final["val"]["tokens"] == 12 - 1 + 1  # the first has nothing before it; EOS is one more
    assert json.loads((run.folder / "m/split.json").read_text())["kind"] == "tail"
    assert "last tenth" in (run.folder / "m/README.md").read_text()


def test_early_stopping_ends_a_run_that_does_not_gain(run: Runner, stream: Path) -> None:
    args = [*TINY, "--lr", "9"]
    args[args.index("--patience") + 1] = "2"
    args[args.index("--evals") + 1] = "50"
    done = run("toktrain", stream, "-o", "m", "--steps", "100", *args)
    evals = events(done.out, "eval")
    assert evals[-1]["step"] < 100
    best = min(evals, key=lambda line: line["val"]["loss"])
    assert evals.index(best) == len(evals) - 3
    assert events(done.out, "final")[0]["step"] == best["step"]


def test_no_half_written_store_is_taken_for_a_whole_one(run: Runner, stream: Path) -> None:
    half = run.folder / "m.training/training/store"
    half.mkdir(parents=True)
    (half / "ids.bin").write_bytes(b"\1\0")
    run("toktrain", stream, "-o", "m", "--steps", "1", *TINY)
    assert (run.folder / "m/training/store/ids.bin").stat().st_size > 2


def test_a_full_disk_ends_a_run_and_leaves_what_was_saved(run: Runner, stream: Path) -> None:
    """A limit on the size of files stands for the disk."""
    model = "--model llama:width=64,layers=2,head=16 --window 32 --batch 128 --condition none"
    common = f"{model} --evals 20 --eval-tokens 64 --patience 0"
    run.shell(f"toktrain in.jsonl -o m {common} --steps 4", env=ENV)
    done = run.shell(
        "ulimit -f 300; toktrain --resume -o m --steps 40 > /dev/null", code=1, env=ENV
    )
    assert "cannot write in" in done.err and "step 4 is saved" in done.err
    assert "Traceback" not in done.err
    run("toktrain", "--resume", "-o", "m", "--steps", "6", env=ENV)
    assert checkpointing.read_progress(run.folder / "m/training").step == 6


class Diverging:
    """An optimiser whose loss is no number from its third step on."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner, self.steps = inner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        self.steps += 1
        loss, norm = self.inner.step(batch, rate)
        return (loss * float("nan") if self.steps > 2 else loss), norm


def trainer_of(prepared: Prepared, optimizer: Optimizer, val: HeldOut, folder: Path) -> Trainer:
    """Return what trains a prepared run, saves its state in `folder` and keeps no best weights."""
    return Trainer(
        optimizer, prepared.windows, val, prepared.settings, prepared.schedule, folder,
        Metrics(None, sys.stdout, table=False), lambda: None,
    )  # fmt: skip


def test_a_loss_that_is_no_number_ends_a_run_and_leaves_what_was_saved(tmp_path: Path) -> None:
    store = store_of(tmp_path, [piece(k) for k in range(40)])
    settings = Settings(
        model="llama:width=16,layers=1,head=8", window=32, batch=128, unit="steps", amount=20,
        evals=20, eval_tokens=64, condition=(),
    )  # fmt: skip
    prepared = prepare(store, settings, tmp_path / "merged")
    inner = Optimizer(prepared.model, "cpu", torch.float32, settings)
    diverging: Any = Diverging(inner)
    trainer = trainer_of(prepared, diverging, prepared.held_out("val", 64), tmp_path)
    with tqdm(disable=True) as bar, pytest.raises(MidigenError, match="not a number at step 3"):
        trainer.run(bar, lambda: False)
    assert checkpointing.read_progress(tmp_path).step == 2
    goes_on = Optimizer(prepared.model, "cpu", torch.float32, settings)
    checkpointing.load(tmp_path, goes_on)
    assert all(weight.isfinite().all() for weight in goes_on.master.parameters())


class Slow(HeldOut):
    """Takes so long to validate that it would fill the run."""

    times = 0

    def score(self, *args: Any, **options: Any) -> Report:
        self.times += 1
        time.sleep(0.25)
        return super().score(*args, **options)


def test_validations_leave_the_minutes_to_training(tmp_path: Path) -> None:
    store = store_of(tmp_path, [piece(k) for k in range(40)])
    settings = Settings(
        model="llama:width=16,layers=1,head=8", window=32, batch=128, unit="minutes", amount=0.04,
        evals=100, eval_tokens=64, condition=(),
    )  # fmt: skip
    prepared = prepare(store, settings, tmp_path / "merged")
    val = prepared.held_out("val", 64)
    val.__class__ = Slow
    optimizer = Optimizer(prepared.model, "cpu", torch.float32, settings)
    trainer = trainer_of(prepared, optimizer, val, tmp_path)
    with tqdm(disable=True) as bar:
        assert trainer.run(bar, lambda: False) == "done"
    # One at the start, one at the end: of 2.4 s a second one would leave too little.
    assert isinstance(val, Slow) and val.times == 2


def test_dropout_rises_with_the_epochs_and_decay_follows_the_size_of_the_data(
    tmp_path: Path,
) -> None:
    store = store_of(tmp_path, [piece(k) for k in range(40)])
    settings = Settings(
        model="llama:width=16,layers=1,head=8", window=32, batch=128, unit="steps", amount=40,
        evals=1, eval_tokens=64, condition=(), dropout_rise=0.02,
    )  # fmt: skip
    prepared = prepare(store, settings, tmp_path / "merged")
    distinct = prepared.corpus.train.tokens
    assert prepared.corpus.distinct_tokens == distinct and prepared.rises
    assert prepared.settings.weight_decay == default_decay(prepared.schedule.peak, 128, distinct)
    optimizer = Optimizer(prepared.model, "cpu", torch.float32, prepared.settings)
    assert {group["weight_decay"] for rule in optimizer.rules for group in rule.param_groups} == {
        prepared.settings.weight_decay,
        0.0,
    }
    trainer = Trainer(
        optimizer, prepared.windows, prepared.held_out("val", 64), prepared.settings,
        prepared.schedule, tmp_path, Metrics(None, sys.stdout, table=False), lambda: None, distinct,
    )  # fmt: skip
    with tqdm(disable=True) as bar:
        trainer.run(bar, lambda: False)
    epochs = trainer.progress.tokens / distinct
    assert epochs > 1 and 0.01 < optimizer.compute.dropout <= 0.02 * epochs  # type: ignore[operator]
    own = replace(settings, model="llama:width=16,layers=1,head=8,dropout=0.3", weight_decay=0.5)
    prepared = prepare(store, own, tmp_path / "merged")
    assert not prepared.rises and prepared.settings.weight_decay == 0.5


def test_metrics_are_written_for_tensorboard(run: Runner, stream: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run("toktrain", stream, "-o", "m", "--steps", "6", *TINY, "--tensorboard", "tb", env=ENV)
    found = accumulators.EventAccumulator(str(run.folder / "tb"))
    found.Reload()
    lines = events((run.folder / "m/metrics.jsonl").read_bytes(), "eval")
    written = [(scalar.step, scalar.value) for scalar in found.Scalars("loss/val")]
    assert written == [(line["step"], pytest.approx(line["val"]["loss"])) for line in lines]
    assert {"loss/train", "learning_rate", "loss_note/test_final"} <= set(found.Tags()["scalars"])
