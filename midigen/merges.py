"""Merges (byte-pair encoding over token ids) by Hugging Face `tokenizers`.

An id becomes one character, and a bar, or a word of text, one word there, so that no merge ever
crosses a bar line or the border of a word.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from midigen.protocols import Tokenizer, WordTokenizer

if TYPE_CHECKING:
    import numpy as np

_FIRST = 0x4E00
"""Id 0 is this character: letters from here on, which no pre-tokenizer touches."""
_SURROGATES, _GAP = 0xD800, 0x800
_BREAK = 0x0A
"""Stands between bars, or words."""
_SAMPLE = 4_000_000
"""Base ids that merges are learned from: more changes few merges and takes minutes."""


def breaks_of(tokenizer: Tokenizer) -> "Callable[[np.ndarray], np.ndarray]":
    """Return what finds the places in ids that merges do not cross: bars, or words of text."""
    return tokenizer.word_starts if isinstance(tokenizer, WordTokenizer) else tokenizer.bar_starts


class Merger:
    """Applies merges to pieces."""

    def __init__(
        self, base_size: int, merges: Sequence[tuple[int, int]], merged_ids: Sequence[int]
    ) -> None:
        from tokenizers import Tokenizer
        from tokenizers.models import BPE

        names = {i: chr(_code(i)) for i in range(base_size)}
        pairs = []
        for (a, b), made in zip(merges, merged_ids, strict=True):
            pairs.append((names[a], names[b]))
            names[made] = names[a] + names[b]
        vocab = {name: i for i, name in names.items()}
        self._tokenizer: Any = Tokenizer(BPE(vocab=vocab, merges=pairs))
        self._tokenizer.pre_tokenizer = _between_breaks()

    def apply(
        self, pieces: "Sequence[np.ndarray]", starts: "Sequence[np.ndarray]"
    ) -> "list[np.ndarray]":
        """Return the pieces with merges applied, int64; `starts`: the breaks in each."""
        import numpy as np

        texts = [_text(ids, bars) for ids, bars in zip(pieces, starts, strict=True)]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def learn(
    pieces: "Iterable[tuple[np.ndarray, np.ndarray]]", base_size: int, count: int
) -> list[tuple[int, int]]:
    """Learn merges for up to `count` new ids from (ids, breaks) pairs.

    Takes pieces until 4 million ids have gone by: the caller brings them in an order that does not
    depend on the order of the stream. Fewer ids come out where no pair occurs twice.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = _between_breaks()
    alphabet = [chr(_code(i)) for i in range(base_size)]
    trainer = BpeTrainer(
        vocab_size=base_size + count,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=alphabet,
    )
    tokenizer.train_from_iterator(_texts(pieces), trainer)
    ids = {name: i for i, name in enumerate(alphabet)}
    merges = []
    for a, b in json.loads(tokenizer.to_str())["model"]["merges"]:
        merges.append((ids[a], ids[b]))
        ids.setdefault(a + b, len(ids))
    return merges


def _texts(pieces: "Iterable[tuple[np.ndarray, np.ndarray]]") -> Iterator[str]:
    seen = 0
    for ids, starts in pieces:
        yield _text(ids, starts)
        seen += len(ids)
        if seen >= _SAMPLE:
            return


def _code(id: int) -> int:
    code = _FIRST + id
    return code if code < _SURROGATES else code + _GAP


def _text(ids: "np.ndarray", starts: "np.ndarray") -> str:
    """Return a piece as text: a character an id, a break before every start."""
    import numpy as np

    codes = np.asarray(ids, dtype=np.uint32) + np.uint32(_FIRST)
    codes = np.where(codes < _SURROGATES, codes, codes + np.uint32(_GAP))
    return np.insert(codes, starts, _BREAK).astype("<u4").tobytes().decode("utf-32-le")


def _between_breaks() -> Any:
    from tokenizers.pre_tokenizers import Split

    return Split(chr(_BREAK), behavior="removed")
