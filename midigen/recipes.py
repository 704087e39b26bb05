"""Recipes: whole experiments by name, from MIDI files to a model and a sample of it.

A recipe is a TOML file in a package that an entry point of group ``midigen.recipes`` names:

    about = "What it is, in a sentence"
    midi = "lmd_matched"           # where the MIDI files are in the folder; without it: the folder
    label = ["csv:labels.csv"]     # toklabel --from, files relative to the folder
    tokenizer = "barnote"          # midi2tok --tokenizer
    learn = "pitch:chords=sets"    # or: the vocabulary is learned first (midigen learn)
    augment = "--shift 6"          # options of tokaug; without it there are no copies
    sample = "--tokens 512"        # options of toksample

    [train]                        # options of toktrain, with _ for -
    model = "lstm"
    window = 256
    epochs = 50
"""

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from midigen.errors import MidigenError
from midigen.settings import Settings, parse_dropout

_UNITS = ("minutes", "epochs", "steps")
_KEYS = ("about", "midi", "label", "tokenizer", "learn", "augment", "sample", "train")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe; `settings` are those of the training run, by name."""

    name: str
    about: str
    midi: str
    label: Sequence[str]
    tokenizer: str
    learn: str
    augment: str
    sample: str
    settings: Mapping[str, Any]

    @property
    def plugin(self) -> str:
        """The tokenizer's name alone."""
        return (self.learn or self.tokenizer).partition(":")[0]

    def check(self, tok: str) -> None:
        """Raise MidigenError unless a stream of `tok` is what the recipe reads."""
        spec = tok.partition("#")[0]
        wanted = self.plugin + ":@" if self.learn else self.tokenizer
        if spec != wanted:
            option = f"--tokenizer {wanted}" if not self.learn else "a vocabulary of its own"
            raise MidigenError(
                f"the stream has {spec}, recipe {self.name} reads {wanted}: midi2tok with {option}"
            )

    def script(
        self,
        folder: str,
        out: str,
        length: str = "",
        label: Sequence[str] | None = None,
        sample: str | None = None,
    ) -> str:
        """Return the whole experiment as commands for bash: data in `folder`, results in `out`.

        length: options of toktrain that say how long; label: labelers; sample: options of
        toksample. Each takes the place of the recipe's.
        """
        target = shlex.quote(out)
        source = shlex.quote(str(Path(folder) / self.midi))
        lines = ["set -euo pipefail", f"mkdir -p {target}"]
        tokenizer = shlex.quote(self.tokenizer)
        if self.learn:
            tokenizer = f"{target}/{self.name}.tok.json"
            shift = self.augment if self.augment.startswith("--shift") else ""
            lines.append(
                f"midigen learn --tokenizer {shlex.quote(self.learn)} {shift.split(' --')[0]}"
                f" -o {tokenizer} --force {source}"
            )
        labelers = [_within(folder, spec) for spec in (self.label if label is None else label)]
        labels = "".join(f" --from {shlex.quote(spec)}" for spec in labelers)
        labelled = f" | toklabel{labels}" if labels else ""
        copies = f" | tokaug {self.augment}" if self.augment else ""
        more = f" {length}" if length else ""
        known = f" --tokenizer {tokenizer}" if self.learn else ""
        lines += [
            f"midi2tok --tokenizer {tokenizer} {source}{labelled}{copies}"
            f" | toktrain --recipe {self.name}{more}{known} -o {target}/model"
            f" > {target}/metrics.jsonl",
            f"toksample -m {target}/model {self.sample if sample is None else sample}"
            f" | tok2midi{known} -o {target}/sample.mid --force",
        ]
        return "\n".join(line.strip() for line in lines) + "\n"


def _within(folder: str, spec: str) -> str:
    """Return a labeler's spec with its file in `folder`: ``csv:FILE`` as ``csv:FOLDER/FILE``.

    Specs without a file, and patterns (``path:{genre}/*``), stay as they are.
    """
    name, colon, file = spec.partition(":")
    if not file or name == "path":
        return spec
    return f"{name}{colon}{Path(folder) / file}"


def recipes() -> dict[str, Any]:
    """Return the recipes' files by name."""
    found = {}
    for point in entry_points(group="midigen.recipes"):
        for item in files(point.value).iterdir():
            if item.name.endswith(".toml"):
                found[item.name.removesuffix(".toml")] = item
    return dict(sorted(found.items()))


def list_recipes() -> list[dict[str, str]]:
    """Return name, tokenizer, model and purpose of every recipe."""
    return [
        {
            "name": found.name,
            "tokenizer": found.learn or found.tokenizer,
            "model": found.settings.get("model", Settings().model),
            "about": found.about,
        }
        for found in map(read_recipe, recipes())
    ]


def read_recipe(name: str) -> Recipe:
    """Return a recipe. Raises MidigenError for another name, listing those there are."""
    known = recipes()
    if name not in known:
        raise MidigenError(f"no recipe {name!r}; there are {', '.join(known) or 'none'}")
    data = tomllib.loads(known[name].read_text(encoding="utf-8"))
    return make_recipe(name, data)


def make_recipe(name: str, data: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a TOML file's content. Raises MidigenError for keys that cannot be."""
    for key in data:
        if key not in _KEYS:
            raise MidigenError(f"recipe {name}: no key {key!r}; known: {', '.join(_KEYS)}")
    if bool(data.get("tokenizer")) == bool(data.get("learn")):
        raise MidigenError(f"recipe {name}: either tokenizer or learn")
    return Recipe(
        name,
        data.get("about", ""),
        data.get("midi", ""),
        tuple(data.get("label", ())),
        data.get("tokenizer", ""),
        data.get("learn", ""),
        data.get("augment", ""),
        data.get("sample", ""),
        _settings(name, data.get("train", {})),
    )


def execute(script: str) -> int:
    """Run a script with bash, commands of this installation first; return its exit code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(["bash", "-c", script], env=os.environ | {"PATH": path}).returncode


def _settings(name: str, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table [train] sets, as the fields of `Settings`."""
    known = {item.name for item in fields(Settings)} - {"unit", "amount", "field_dropout"}
    found: dict[str, Any] = {}
    for key, value in train.items():
        if key in _UNITS:
            found |= {"unit": key, "amount": float(value)}
        elif key == "condition_dropout" and isinstance(value, str):
            found |= parse_dropout(value)
        elif key in known:
            found[key] = tuple(value) if isinstance(value, list) else value
        else:
            raise MidigenError(f"recipe {name}: toktrain has no option {key!r}")
    Settings(**found)
    return found
