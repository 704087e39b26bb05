"""The tokenizer that a record's `tok` names: built once, and checked against its fingerprint."""

from functools import cache
from pathlib import Path

from midigen import registry
from midigen.definitions import PATTERN, names_file, plugin_of, tokenizer_of_file
from midigen.errors import MidigenError, UsageError
from midigen.protocols import Tokenizer
from midigen.spec import Tok, parse_spec, parse_tok


class Known:
    """The learned vocabularies that this process was told of, by `tok`."""

    def __init__(self) -> None:
        self._found: dict[str, Tokenizer] = {}

    def add(self, tokenizer: Tokenizer) -> None:
        self._found[tok_of(tokenizer)] = tokenizer

    def get(self, tok: str) -> Tokenizer | None:
        return self._found.get(tok)


@cache
def known() -> Known:
    """Return what `learned` and model folders told this process."""
    return Known()


def tok_of(tokenizer: Tokenizer) -> str:
    """Return what records of a tokenizer have as `tok`: ``spec#fingerprint``."""
    return f"{tokenizer.spec}#{tokenizer.vocab.fingerprint}"


def learned(path: str | None) -> None:
    """Make the vocabulary in ``--tokenizer FILE`` known for records that name it.

    Raises UsageError for what is no JSON file, MidigenError for a file that holds no vocabulary.
    """
    if path is None:
        return
    if not names_file(path):
        raise UsageError(
            f"--tokenizer {path}: records name their tokenizer; only a learned vocabulary"
            " (NAME.tok.json, tokenizer.json) can be given"
        )
    known().add(tokenizer_of_file(path))


@cache
def tokenizer_of(tok: str) -> Tokenizer:
    """Return the tokenizer of ``spec#fingerprint``.

    A learned vocabulary is one that `learned` or a model folder made known, else that of a
    ``*.tok.json`` in the working folder. Raises MidigenError if it is not installed or not found,
    or if its vocabulary here is another one.
    """
    parsed = parse_tok(tok)
    if parsed.is_learned:
        return known().get(tok) or _in_folder(parsed, Path())
    spec, fingerprint = parsed
    tokenizer: Tokenizer = registry.tokenizer(spec)
    if tokenizer.vocab.fingerprint != fingerprint:
        raise MidigenError(
            f"tok {tok}: the vocabulary of {spec} is #{tokenizer.vocab.fingerprint} here;"
            " the stream was written by another version of this tokenizer"
        )
    return tokenizer


def _in_folder(tok: Tok, folder: Path) -> Tokenizer:
    """Return the tokenizer of a learned `tok` from the definitions in a folder."""
    others: list[str] = []
    for path in sorted(folder.glob(PATTERN)):
        try:
            if plugin_of(path) != parse_spec(tok.spec).name:
                continue
            tokenizer: Tokenizer = tokenizer_of_file(path)
        except MidigenError as error:
            others.append(str(error))
            continue
        if tokenizer.vocab.fingerprint == tok.fingerprint:
            return tokenizer
        others.append(f"{path} is #{tokenizer.vocab.fingerprint}")
    seen = f" ({'; '.join(others)})" if others else ""
    raise MidigenError(
        f"tok {tok.spec}#{tok.fingerprint}: this vocabulary was learned and lies in a file, which"
        f" neither --tokenizer FILE, -m MODEL nor a {PATTERN} in the working folder gives{seen}"
    )
