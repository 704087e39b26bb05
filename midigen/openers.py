"""Tokens that begin a bar."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from midigen.modelvocab import ModelVocab
    from midigen.protocols import Tokenizer


def bar_ids(tokenizer: "Tokenizer") -> frozenset[int]:
    """Return the base ids that begin a bar wherever they stand; none where others decide, too."""
    import numpy as np

    if tokenizer.unit != 1:
        return frozenset()
    find, size = tokenizer.bar_starts, len(tokenizer.vocab)
    # Behind the first id and behind the last, which differ in what they are, and behind itself:
    # where bars pass with time, two shifts of time are one.
    return frozenset(
        i for i in range(size) if all(1 in find(np.array([j, i])) for j in (0, size - 1, i))
    )


def openers(vocab: "ModelVocab", bars: frozenset[int]) -> "np.ndarray":
    """Return bool (V,): the ids of a model whose first base id is one of `bars`."""
    import numpy as np

    firsts = (vocab.expansion(i)[:1] for i in range(len(vocab)))
    return np.array([bool(first) and first[0] in bars for first in firsts])
