"""The conditions asked for, by the names that a model knows."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from midigen.conditions import condition_values
from midigen.errors import MidigenError
from midigen.modelvocab import FIELDS, ModelVocab
from midigen.names import fold

LISTED = 20
"""Most names that an error lists."""

Asked = dict[str, list[str]]
"""{field: values}, fields in the order of `FIELDS`."""


def known(vocab: ModelVocab, field: str, name: str) -> str | None:
    """Return the model's own spelling of `name`, or None if it does not know it."""
    values = vocab.conditions.get(field, {})
    return name if name in values else {fold(v): v for v in values}.get(fold(name))


def resolve(vocab: ModelVocab, names: Mapping[str, Sequence[str]]) -> Asked:
    """Return `names` as the model spells them.

    Raises MidigenError for a field or a value that it does not know, listing those that it does.
    """
    asked: Asked = {}
    for field in FIELDS:
        for name in names.get(field, ()):
            value = known(vocab, field, name)
            if value is None:
                raise MidigenError(_unknown(vocab, field, name))
            asked.setdefault(field, []).append(value)
    return asked


def _unknown(vocab: ModelVocab, field: str, name: str) -> str:
    values = list(vocab.conditions.get(field, ()))
    if not values:
        fields = ", ".join(f for f in FIELDS if vocab.conditions.get(f)) or "no conditions at all"
        return f"the model knows no {field}, so not {name!r} either; it knows {fields}"
    nearest = sorted(values, key=lambda value: -_likeness(name, value))
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    return f"the model knows no {field} {name!r}; it knows {', '.join(nearest[:LISTED])}{more}"


def _likeness(a: str, b: str) -> float:
    return SequenceMatcher(None, fold(a), fold(b)).ratio()


def of_record(vocab: ModelVocab, record: Mapping[str, Any]) -> Asked:
    """Return the conditions that a record's `meta` names, as far as the model knows them."""
    found: Asked = {}
    for field in FIELDS:
        names = [known(vocab, field, name) for name in condition_values(record, field)]
        values = list(dict.fromkeys(name for name in names if name is not None))
        if values:
            found[field] = values
    return found


def condition_ids(vocab: ModelVocab, asked: Mapping[str, Sequence[str]]) -> list[int]:
    """Return the condition tokens of resolved values, in the order of training windows."""
    return [vocab.conditions[f][value] for f in FIELDS for value in asked.get(f, ())]
