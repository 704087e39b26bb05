"""Plugins: found through entry points, loaded one at a time and by name."""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from midigen.errors import MidigenError
from midigen.spec import parse_params, parse_spec

GROUPS = ("tokenizers", "models", "labelers", "checkpoints", "executors")


@cache
def installed(kind: str) -> dict[str, EntryPoint]:
    """Return the entry points of ``midigen.<kind>`` by name, without loading one."""
    return {point.name: point for point in sorted(_all_points().select(group=f"midigen.{kind}"))}


@cache
def _all_points() -> Any:
    """Return the entry points of all packages: reading them takes 10 to 20 ms, so once.

    The type differs between Python 3.11 and 3.12; both have `select`.
    """
    return entry_points()


def load(kind: str, name: str) -> Any:
    """Load the plugin `name` of a kind (``tokenizers``, ``models`` ...).

    Raises MidigenError if there is none of that name (listing those there are), or if it does not
    load (naming its package).
    """
    points = installed(kind)
    if name not in points:
        raise MidigenError(f"no {kind[:-1]} {name!r}; installed: {', '.join(points) or 'none'}")
    point = points[name]
    try:
        return point.load()
    except Exception as error:
        origin = point.dist.name if point.dist else point.value
        raise MidigenError(
            f"{kind[:-1]} {name!r} of package {origin} does not load:"
            f" {type(error).__name__}: {error}"
        ) from error


def load_object(text: str) -> Any:
    """Import ``package.module:Object``. Only for specs that the user typed on a command line."""
    module, _, attribute = text.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MidigenError(f"cannot import {text}: {error}") from error


def tokenizer(spec: str, *, trusted: bool = False) -> Any:
    """Return the tokenizer of a spec (without fingerprint).

    trusted: the spec comes from the command line, so ``package.module:Object`` and a file with a
    learned vocabulary (``NAME.json``, see `midigen.definitions`) are allowed. The parameter
    ``pedal=extend`` is understood for every tokenizer of scores: see `midigen.pedal`.
    """
    if trusted and spec.endswith(".json"):
        from midigen.definitions import tokenizer_of_file

        return tokenizer_of_file(spec)
    parsed = parse_spec(spec)
    if parsed.is_object:
        if not trusted:
            raise MidigenError(f"{spec!r} names a Python object: only a command line may")
        return load_object(spec)()
    params = parse_params(parsed.arg)
    pedal = params.pop("pedal", "drop")
    found = load("tokenizers", parsed.name)(**params)
    if pedal == "drop":
        return found
    if pedal != "extend":
        raise MidigenError(f"{spec}: pedal={pedal} is not extend or drop")
    from midigen.pedal import Extended

    return Extended.of(found)
