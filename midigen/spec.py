"""Specs: ``name``, ``name:key=value,key=value``, ``name:ARG``; in records with ``#fingerprint``."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from midigen.errors import MidigenError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_VALUE = re.compile(r"[A-Za-z0-9._+/x-]+\Z")
_FINGERPRINT = re.compile(r"[0-9a-f]{8}\Z")


class Spec(NamedTuple):
    """A plugin's name (or ``package.module:Object``) and the raw text behind the colon."""

    name: str
    arg: str

    @property
    def is_object(self) -> bool:
        """True for ``package.module:Object``: accepted from the command line only."""
        return "." in self.name


class Tok(NamedTuple):
    """The `tok` field of a record: a tokenizer spec and its vocabulary's fingerprint."""

    spec: str
    fingerprint: str

    @property
    def is_learned(self) -> bool:
        """True for ``name:@#fingerprint``: the vocabulary lies in a file."""
        return self.spec.endswith(":@")


def parse_spec(text: str) -> Spec:
    """Split `text` at its first colon. Raises MidigenError for a name that cannot be one."""
    name, _, arg = text.partition(":")
    if not all(_NAME.match(part) for part in name.split(".")):
        raise MidigenError(
            f"{text!r} is not a plugin spec: name, name:ARG or package.module:Object"
        )
    return Spec(name, arg)


def parse_params(arg: str) -> dict[str, str]:
    """Return the parameters in ``key=value,key=value``. Raises MidigenError for anything else."""
    params: dict[str, str] = {}
    for item in filter(None, arg.split(",")):
        key, equals, value = item.partition("=")
        if not equals or not _NAME.match(key) or not _VALUE.match(value):
            raise MidigenError(f"{item!r} is not key=value with a value in [A-Za-z0-9._+/x-]")
        if key in params:
            raise MidigenError(f"parameter {key!r} is given twice")
        params[key] = value
    return params


def format_spec(name: str, params: Mapping[str, str]) -> str:
    """Return the canonical spec: keys sorted. The caller leaves out parameters at their default."""
    return name + ":" * bool(params) + ",".join(f"{k}={params[k]}" for k in sorted(params))


def parse_tok(text: str) -> Tok:
    """Split a record's `tok` into spec and fingerprint. Raises MidigenError if it has none."""
    spec, hash_mark, fingerprint = text.rpartition("#")
    if not hash_mark or not _FINGERPRINT.match(fingerprint):
        raise MidigenError(f"tok {text!r} does not end in #fingerprint (8 hex digits)")
    if parse_spec(spec).is_object:
        raise MidigenError(f"tok {text!r} names a Python object, which a record may not")
    return Tok(spec, fingerprint)
