"""Vocabularies that no spec can say: a *definition* in a JSON file rebuilds the tokenizer.

Three kinds of file: ``*.tok.json``, ``{"midigen": PLUGIN, ...}``, as ``midigen learn`` writes it;
``vocab.json`` of a model folder, which carries the definition of its base; and ``tokenizer.json``
of MidiTok, which is plugin `miditok`.
"""

import json
from pathlib import Path
from typing import Any

from midigen.errors import MidigenError
from midigen.registry import load

FILE_SUFFIX = ".json"
PATTERN = "*.tok.json"
"""What is looked at in the working folder."""


def names_file(text: str) -> bool:
    """Return whether ``--tokenizer TEXT`` names a file rather than a spec."""
    return text.endswith(FILE_SUFFIX)


def tokenizer_of_file(path: str | Path) -> Any:
    """Return the tokenizer that a file defines. Raises MidigenError naming the file."""
    try:
        plugin, definition = _read(Path(path))
        return tokenizer_of_definition(plugin, definition)
    except MidigenError as error:
        raise MidigenError(f"{path} {error}") from error


def tokenizer_of_definition(plugin: str, definition: dict[str, Any]) -> Any:
    """Return the tokenizer of a plugin that a definition rebuilds.

    Raises MidigenError if the plugin is not installed, learns nothing, or does not take it.
    """
    kind = load("tokenizers", plugin)
    if not hasattr(kind, "from_definition"):
        raise MidigenError(f"is for {plugin}, whose vocabulary is fixed")
    return kind.from_definition(definition)


def plugin_of(path: Path) -> str:
    """Return the name of the plugin that a file is for. Raises MidigenError."""
    return _read(path)[0]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the plugin and the definition in a file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MidigenError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise MidigenError(f"is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise MidigenError("holds no JSON object")
    if isinstance(data.get("midigen"), str):
        return data["midigen"], {key: value for key, value in data.items() if key != "midigen"}
    if "merges" in data and "tok" in data:
        if not isinstance(data.get("definition"), dict):
            raise MidigenError(f"is of a model on {data['tok']}, which is no learned vocabulary")
        return str(data["tok"]).partition(":")[0], data["definition"]
    return "miditok", data
