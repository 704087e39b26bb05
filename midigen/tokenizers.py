"""The tokenizer that a record's `tok` names: built once, and checked against its fingerprint."""

from functools import cache

from midigen import registry
from midigen.errors import MidigenError
from midigen.protocols import Tokenizer
from midigen.spec import parse_tok


@cache
def tokenizer_of(tok: str) -> Tokenizer:
    """Return the tokenizer of ``spec#fingerprint``.

    Raises MidigenError if it is not installed or if its vocabulary here is another one.
    """
    parsed = parse_tok(tok)
    if parsed.is_learned:
        raise MidigenError(
            f"tok {tok}: this vocabulary was learned and lies in a file, which no installed"
            " tokenizer reads"
        )
    spec, fingerprint = parsed
    tokenizer: Tokenizer = registry.tokenizer(spec)
    if tokenizer.vocab.fingerprint != fingerprint:
        raise MidigenError(
            f"tok {tok}: the vocabulary of {spec} is #{tokenizer.vocab.fingerprint} here;"
            " the stream was written by another version of this tokenizer"
        )
    return tokenizer
