"""`toksample`, the installed command: what it writes, and every way in which it refuses."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from tiny_model import save_tiny, some_merges, tiny_vocab, tok_of

from midigen.asked import era_near, usual_guidance
from midigen.modelvocab import ModelVocab
from midigen.tokenizers import tokenizer_of

STARTER = """\
from pathlib import Path
from midigen.protocols import Checkpoint

def checkpoint():
    return Checkpoint(Path(__file__).parent / "weights", starter=True)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with merges: read it, do not write into it."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "m", tiny_vocab(merges=some_merges("remi")))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A model folder of one's own, to be broken."""
    return save_tiny(tmp_path / "broken")


def piece(bars: int, id: str = "0123456789abcdef") -> dict[str, Any]:
    index = tokenizer_of(tok_of("remi")).vocab.index
    names = ["Bar_None", "TimeSig_4/4", "Position_0", "Program_0", "Pitch_60", "Velocity_63"]
    ids = [index[name] for name in [*names, "Duration_1.0.8"]]
    return {"id": id, "group": "f" * 16, "tok": tok_of("remi"), "ids": ids * bars}


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def read(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def starter(folder: Path) -> dict[str, str]:
    """Put a starter package that hides the installed one into `folder`; return the environment."""
    package = folder / "midigen_starter"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STARTER)
    return {"PYTHONPATH": str(folder)}


def test_what_few_training_pieces_had_is_asked_for_with_guidance(run: Runner) -> None:
    genres = {"pop": 100, "rock": 99, "hymn": 20, "march": 19}
    save_tiny(run.folder / "m", tiny_vocab(conditions={"genre": genres, "era": {"1980s": 3}}))

    def made(*options: str) -> list[dict[str, Any]]:
        return read(run("toksample", "-m", "m", "--bars", "1", "--seed", "4", *options).out)

    def guidance(*options: str) -> float:
        [record] = made(*options)
        found: float = record["gen"]["settings"]["guidance"]
        return found

    assert guidance() == guidance("--genre", "pop") == 1
    assert guidance("--genre", "Rock") == guidance("--genre", "hymn", "--genre", "pop") == 1.5
    assert guidance("--genre", "march") == 2
    assert guidance("--genre", "pop", "--year", "1984") == 3
    for said in ("0", "1", "3.5"):
        assert guidance("--genre", "march", "--guidance", said) == float(said)
    assert made("--genre", "rock") == made("--genre", "rock", "--guidance", "1.5")
    assert made("--genre", "rock") != made("--genre", "rock", "--guidance", "1")


def test_without_bos_there_is_no_guidance() -> None:
    base, conditions = tiny_vocab(), {"genre": {"jazz": 3}}
    for specials, guidance in ((True, 3), (False, 1)):
        vocab = ModelVocab(base.base, base.tok, specials=specials, conditions=conditions)
        assert usual_guidance(vocab, {"genre": ["jazz"]}) == guidance
        assert usual_guidance(vocab, {}) == 1


def test_records_say_what_made_them(run: Runner, model: Path) -> None:
    argv = ["-m", model, "--genre", "HIP hop", "--year", "1987", "--bars", "2", "-n", "3"]
    result = run("toksample", *argv, "--seed", "7", "-T", "0.9")
    records = read(result.out)
    assert len({record["id"] for record in records}) == 3
    for index, record in enumerate(records):
        assert record["meta"] == {"genre": "Hip-Hop", "era": "1980s", "year": 1987}
        assert (record["src"], record["group"], record["tok"]) == (
            "toksample", record["id"], tok_of("remi"),
        )  # fmt: skip
        assert record["n"]["bars"] == 2
        gen = record["gen"]
        assert (gen["model"], gen["prompt"], gen["seed"], gen["index"]) == (
            str(model), None, 7, index,
        )  # fmt: skip
        assert gen["settings"]["bars"] == 2 and gen["settings"]["temperature"] == 0.9
    assert result.err.startswith("toksample: 3 records, ") and "seed 7" in result.err


def test_a_fresh_seed_is_written_down_and_gives_the_same_bytes_again(
    run: Runner, model: Path
) -> None:
    argv = ["-m", model, "--tokens", "60", "-n", "2"]
    fresh = run("toksample", *argv)
    records = read(fresh.out)
    seed = records[0]["gen"]["seed"]
    assert records[0]["ids"] != records[1]["ids"]
    assert run("toksample", *argv, "--seed", str(seed)).out == fresh.out


def test_a_prompt_goes_on(run: Runner, model: Path) -> None:
    prompt = piece(4) | {"meta": {"genre": "pop", "split": "test", "title": "Song"}}
    argv = ["-m", model, "--bars", "2", "--seed", "1", "--prompt-bars", "3"]
    (whole,) = read(run("toksample", *argv, stdin=lines(prompt)).out)
    assert whole["ids"][:21] == prompt["ids"][:21] and whole["n"]["bars"] == 5
    assert whole["group"] == prompt["group"] and whole["gen"]["prompt"] == prompt["id"]
    assert whole["meta"] == {"genre": "pop", "split": "test"}

    (new,) = read(run("toksample", *argv, "--only-new", stdin=lines(prompt)).out)
    assert new["n"]["bars"] == 2 and new["ids"] == whole["ids"][21:]


def test_samples_of_prompts_keep_their_order(run: Runner, model: Path) -> None:
    prompts = [piece(bars, id=f"{bars:016x}") for bars in (3, 1, 30)]
    argv = ["-m", model, "--tokens", "50", "-n", "2", "--continue"]
    records = read(run("toksample", *argv, stdin=lines(*prompts)).out)
    assert [(record["gen"]["prompt"], record["gen"]["index"]) for record in records] == [
        (prompt["id"], index) for prompt in prompts for index in range(2)
    ]


def test_parts_of_a_file_stay_parts(run: Runner, tmp_path: Path) -> None:
    tok = tok_of("remi:programs=0")
    model = save_tiny(tmp_path / "m", tiny_vocab("remi:programs=0"))
    index = tokenizer_of(tok).vocab.index
    ids = [index[t] for t in ("Bar_None", "TimeSig_4/4", "Position_0", "Pitch_60", "Velocity_63")]
    parts = [
        {"id": f"{'a' * 16}.{k}", "tok": tok, "part": [k, 2], "meta": {"program": 40 + k},
         "ids": [*ids, index["Duration_1.0.8"]]}
        for k in (0, 1)
    ]  # fmt: skip
    argv = ["-m", model, "--continue", "--bars", "1", "--seed", "1"]
    made = read(run("toksample", *argv, stdin=lines(*parts)).out)
    assert [record["part"] for record in made] == [[0, 2], [1, 2]]
    assert [record["meta"] for record in made] == [{"program": 40}, {"program": 41}]
    assert [record["id"][16:] for record in made] == [".0", ".1"]
    assert len({record["id"][:16] for record in made}) == 1


def test_the_starter_model_is_used_without_m(run: Runner, tmp_path: Path) -> None:
    env = starter(tmp_path / "here")
    save_tiny(tmp_path / "here" / "midigen_starter" / "weights")
    (record,) = read(run("toksample", "--tokens", "30", env=env).out)
    assert record["gen"]["model"].endswith("midigen_starter/weights")


def test_no_model_and_no_starter_is_an_error(run: Runner, tmp_path: Path) -> None:
    result = run("toksample", env=starter(tmp_path / "here"), code=1)
    assert result.err == (
        "toksample: no starter weights are installed; -m DIR names a model folder\n"
    )


@pytest.mark.parametrize(
    ("year", "era", "said"),
    [
        (1850, "1980s", "no 1850s; asked are the 1980s"),
        (2004, "1990s", "no 2000s"),
        (1999, "1990s", ""),
    ],
)
def test_a_year_of_no_known_era_asks_for_the_nearest(
    run: Runner, model: Path, year: int, era: str, said: str
) -> None:
    done = run("toksample", "-m", model, "--year", str(year), "--bars", "1")
    assert json.loads(done.out)["meta"] == {"era": era, "year": year}
    assert said in done.err and ("nearest" in done.err) == bool(said)


def test_of_two_near_eras_the_earlier_is_asked() -> None:
    vocab = tiny_vocab(conditions={"era": {"1970s": 1, "1990s": 1, "odd": 1}})
    assert [era_near(vocab, year) for year in (1901, 1980, 1984, 1985, 1989, 2100)] == [
        *("1970s", "1970s", "1970s", "1990s", "1990s", "1990s")
    ]
    assert era_near(tiny_vocab(conditions={"genre": {"pop": 1}}), 1984) == "1980s"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--genre", "clasical"], 1, "no genre 'clasical'; it knows classical, "),
        (["--era", "1850s"], 1, "no era '1850s'; it knows 19"),
        (["--device", "cuda:99"], 1, "no device 'cuda:99' here; there are cpu"),
        (["--device", "tpu"], 2, "'tpu' is not one of auto, cpu"),
        (["--tokens", "1"], 1, "the shortest piece has 2"),
        (["-T", "2.1"], 2, "2.1 is not in the range 0<=x<=2"),
        (["-T", "-1"], 2, "-1.0 is not in the range"),
        (["-k", "501"], 2, "501 is not in the range 0<=x<=500"),
        (["-p", "0"], 2, "0.0 is not in the range 0.01<=x<=1"),
        (["--min-p", "1.5"], 2, "1.5 is not in the range"),
        (["-T", "nan"], 2, "nan is not a number to sample with"),
        (["--seconds", "inf"], 2, "inf is not a number to sample with"),
        (["--bars", "0"], 2, "0 is not in the range x>=1"),
        (["-n", "0"], 2, "0 is not in the range x>=1"),
        (["--continue", "--only-new"], 2, "exclude each other"),
        (["--era", "1980s", "--year", "1981"], 2, "exclude each other"),
        (["--continue", "missing.jsonl"], 1, "missing.jsonl: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(
    run: Runner, model: Path, argv: list[str], code: int, words: str
) -> None:
    result = run("toksample", "-m", model, *argv, code=code)
    assert words in result.err and result.err.count("\n") == 1
    assert result.err.startswith("toksample: ") and result.out == b""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", None, "has no config.json: not a model folder"),
        ("config.json", b"{}", "was not written by this version of midigen"),
        ("vocab.json", b"{", "vocab.json is not JSON"),
        ("model.safetensors", None, "has no model.safetensors"),
        ("model.safetensors", b"x" * 99, "does not fit config.json and vocab.json"),
    ],
)
def test_a_broken_model_folder_is_one_line(
    run: Runner, broken: Path, name: str, content: bytes | None, words: str
) -> None:
    (broken / name).unlink()
    if content is not None:
        (broken / name).write_bytes(content)
    result = run("toksample", "-m", "broken", "--tokens", "10", code=1)
    assert words in result.err and result.err.count("\n") == 1


def test_a_folder_that_is_not_there_is_one_line(run: Runner) -> None:
    result = run("toksample", "-m", "nowhere", code=1)
    assert result.err == "toksample: nowhere does not exist\n"


def test_what_cannot_be_a_prompt_is_a_reject_and_the_rest_goes_on(run: Runner, model: Path) -> None:
    other = piece(1) | {"tok": tok_of("remi:tempos=0")}
    odd = piece(1) | {"ids": piece(1)["ids"][2:]}
    argv = ["-m", model, "--tokens", "20", "--continue"]
    result = run(
        "toksample", *argv, "--rejects", "no.jsonl", stdin=lines(other, odd, piece(1)) + b"{\n"
    )
    assert len(result.lines) == 1 and "3 rejected (1 tok, 1 grammar, 1 json)" in result.err
    rejects = read((run.folder / "no.jsonl").read_bytes())
    assert [reject["src"] for reject in rejects] == [f"<stdin>:{line}" for line in (1, 2, 4)]
    assert other["tok"] in rejects[0]["detail"] and piece(1)["tok"] in rejects[0]["detail"]
    assert "Position_0 cannot stand at place 0" in rejects[1]["detail"]


def test_no_prompt_that_can_be_used_is_exit_code_1(run: Runner, model: Path) -> None:
    other = piece(1) | {"tok": tok_of("remi:tempos=0")}
    result = run("toksample", "-m", model, "--continue", stdin=lines(other), code=1)
    assert result.out == b"" and "toksample: 0 records" in result.err
    strict = run("toksample", "-m", model, "--only-new", "--strict", stdin=lines(other), code=1)
    assert strict.err.startswith("toksample: <stdin>:1: tok: tok remi:tempos=0#")


def test_without_grammar_any_prompt_goes_on(run: Runner, model: Path) -> None:
    odd = piece(1) | {"ids": piece(1)["ids"][2:]}
    argv = ["-m", model, "--tokens", "20", "--continue", "--no-grammar"]
    (record,) = read(run("toksample", *argv, stdin=lines(odd)).out)
    assert record["ids"][:5] == odd["ids"] and len(record["ids"]) == 25


def test_output_is_whole_or_not_there_and_never_replaces(run: Runner, model: Path) -> None:
    (run.folder / "a.jsonl").write_bytes(b"mine")
    argv = ["toksample", "-m", model, "--tokens", "20"]
    assert "a.jsonl exists; --force replaces it" in run(*argv, "-o", "a.jsonl", code=1).err
    assert (run.folder / "a.jsonl").read_bytes() == b"mine"
    run(*argv, "-o", "a.jsonl", "--force")
    assert len(read((run.folder / "a.jsonl").read_bytes())) == 1
    run(*argv, "-o", "b.jsonl", "--continue", stdin=b"{", code=1)
    assert sorted(path.name for path in run.folder.iterdir()) == ["a.jsonl"]


def test_a_reader_that_goes_away_ends_it_in_silence(run: Runner, model: Path) -> None:
    line = f"toksample -m {model} --tokens 20 -n 200 -q --batch 1 | head -n 1"
    result = run.shell(f"set +o pipefail; {line}")
    assert len(result.lines) == 1 and result.err == ""


def test_records_come_as_they_are_finished(run: Runner, model: Path) -> None:
    argv = [run.bin_dir / "toksample", "-m", model, "--tokens", "500", "-n", "1000", "--batch", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        assert process.poll() is None
        process.kill()
