"""Vocabularies: an ordered list of distinct ``Type_value`` tokens; an id is a place in it."""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from midigen.errors import MidigenError

if TYPE_CHECKING:
    import numpy as np


def fingerprint(tokens: Iterable[str]) -> str:
    """Return 8 hex digits of the SHA-256 of the tokens joined by newlines."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:8]


class Vocab:
    """A base vocabulary. Immutable; V is the number of tokens."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens: tuple[str, ...] = tuple(tokens)
        if len(set(self.tokens)) != len(self.tokens):
            raise MidigenError("a vocabulary names a token twice")
        for token in self.tokens:
            if "_" not in token or "\n" in token:
                raise MidigenError(f"token {token!r} is not of the form Type_value")

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocab) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """The id of every token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of every id: what stands before the first underscore."""
        return tuple(token.partition("_")[0] for token in self.tokens)

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The value of every id: what stands behind the first underscore."""
        return tuple(token.partition("_")[2] for token in self.tokens)

    def ids_of(self, *types: str) -> "np.ndarray":
        """Return the ids of these types, ascending, as int64."""
        import numpy as np

        return np.array([i for i, t in enumerate(self.types) if t in types], dtype=np.int64)
