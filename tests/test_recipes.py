"""Recipes: whole experiments by name, from MIDI files to a sample."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from msd_made import write_matched

from midigen import modelfolder
from midigen.errors import MidigenError, UsageError
from midigen.preparation import model_config
from midigen.recipes import list_recipes, make_recipe, read_recipe, recipes
from midigen.registry import tokenizer
from midigen.settings import Settings

ENV = {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_can_be_what_it_says(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.about
    settings = Settings(**recipe.settings)
    plugin, config = model_config(settings)
    assert plugin == settings.model.partition(":")[0] and config
    assert settings.unit == ("minutes" if name == "llama" else "epochs")
    if recipe.tokenizer:
        assert tokenizer(recipe.tokenizer).spec == recipe.tokenizer


@pytest.mark.parametrize("name", ["lstm", "pitchlstm"])
def test_a_recipe_runs_from_files_to_a_sample(run: Runner, tunes: Path, name: str) -> None:
    done = run("midigen", "recipes", name, tunes, "--minutes", "0.03", "--run", env=ENV)
    assert f"toktrain --recipe {name} --minutes 0.03" in done.err
    folder = run.folder / f"{name}.run"
    assert modelfolder.read_config(folder / "model")["midigen"]["model"] == name
    assert (folder / "sample.mid").read_bytes().startswith(b"MThd")
    assert b'"final"' in (folder / "metrics.jsonl").read_bytes()


def test_lakh_becomes_a_model_that_is_asked_by_genre_and_year(run: Runner, tunes: Path) -> None:
    write_matched(run.folder / "lakh", sorted(tunes.glob("*.mid")))
    (run.folder / "lakh/lmd_matched_h5").rename(run.folder / "lakh/h5")
    labels = ("lmd:match_scores.json", "msd:h5", "tagtraum:msd_tagtraum_cd2.cls")
    done = run(
        "midigen", "recipes", "conditioned", "lakh", "--run", "--minutes", "0.03",
        *(arg for spec in labels for arg in ("--from", spec)),
        "--sample", "--genre 'pop rock' --year 1961 --bars 2", env=ENV,
    )  # fmt: skip
    assert "--from lmd:lakh/match_scores.json --from msd:lakh/h5" in done.err
    vocab = modelfolder.read_vocab(run.folder / "conditioned.run/model")
    assert vocab.counts["genre"].keys() >= {"Pop_Rock", "Jazz"} and "1960s" in vocab.counts["era"]
    assert (run.folder / "conditioned.run/sample.mid").read_bytes().startswith(b"MThd")


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("csv:labels.csv", "csv:a b/labels.csv"),
        ("lmd:scores.json,min=0.65", "lmd:a b/scores.json,min=0.65"),
        ("csv:/labels.csv", "csv:/labels.csv"),
        ("midi", "midi"),
        ("path:{genre}/*", "path:{genre}/*"),
    ],
)
def test_tables_of_a_recipe_are_in_its_folder(spec: str, found: str) -> None:
    recipe = make_recipe("x", {"tokenizer": "remi", "midi": "songs", "label": [spec]})
    script = recipe.script("a b", "out")
    assert (
        f"midi2tok --tokenizer remi 'a b/songs' | toklabel --from {shlex.quote(found)} |" in script
    )
    assert "toklabel" not in recipe.script("a b", "out", label=())


def test_a_recipe_is_shown_as_commands(run: Runner) -> None:
    shown = run("midigen", "recipes", "musicgpt", "my songs", "-o", "out", "--minutes", "2")
    assert "midi2tok --tokenizer events 'my songs' | tokaug --shift 5" in shown.out.decode()
    listed = [json.loads(line) for line in run("midigen", "recipes", "--json").out.splitlines()]
    assert listed == list_recipes()
    assert {"lstm", "musictransformer", "musicgpt", "pitchlstm", "synphony"} <= {
        line["name"] for line in listed
    }
    assert "there are" in run("midigen", "recipes", "nothing", code=1).err


def test_options_change_what_a_recipe_sets(run: Runner, tunes: Path) -> None:
    small = ("--model", "lstm:width=16,first=16,second=16", "--steps", "2", "--batch", "512")
    run.shell(f"midi2tok --tokenizer barnote {tunes} > in.jsonl")
    run("toktrain", "--recipe", "lstm", *small, "in.jsonl", "-o", "m", env=ENV)
    settings = json.loads((run.folder / "m/training/settings.json").read_text())
    assert (settings["optimizer"], settings["unit"], settings["amount"]) == ("adamax", "steps", 2.0)
    assert len(modelfolder.read_vocab(run.folder / "m")) == 153
    run.shell(f"midi2tok {tunes} > remi.jsonl")
    refused = run("toktrain", "--recipe", "lstm", *small, "remi.jsonl", code=1, env=ENV)
    assert "midi2tok with --tokenizer barnote" in refused.err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"tokenizer": "remi", "colour": 1}, "no key 'colour'"),
        ({}, "either tokenizer or learn"),
        ({"tokenizer": "remi", "learn": "pitch"}, "either tokenizer or learn"),
        ({"tokenizer": "remi", "train": {"widnow": 3}}, "no option 'widnow'"),
        ({"tokenizer": "remi", "train": {"schedule": "up"}}, "schedule"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises((MidigenError, UsageError), match=words):
        make_recipe("x", data)
