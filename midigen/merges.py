"""Merges (byte-pair encoding over token ids) by Hugging Face `tokenizers`.

An id becomes one character, and a bar, or a word of text, one word there, so that no merge ever
crosses a bar line or the border of a word.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from midigen.protocols import Tokenizer, WordTokenizer

if TYPE_CHECKING:
    import numpy as np

_FIRST = 0x4E00
"""Id 0 is this character: letters from here on, which no pre-tokenizer touches."""
_SURROGATES, _GAP = 0xD800, 0x800
_BREAK = 0x0A
"""Stands between bars, or words."""
_TOGETHER = 2048
"""Bars or words that are merged in one go."""
_SAMPLE = 4_000_000
"""Base ids that merges are learned from: more changes few merges and takes minutes."""


def breaks_of(tokenizer: Tokenizer) -> "Callable[[np.ndarray], np.ndarray]":
    """Return what finds the places in ids that merges do not cross: bars, or words of text."""
    return tokenizer.word_starts if isinstance(tokenizer, WordTokenizer) else tokenizer.bar_starts


class Merger:
    """Applies merges to pieces.

    What recurs between two breaks is looked at once: text, whose words do, takes a quarter of the
    time by that, and music, whose bars seldom do, a fifth more.
    """

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
        self._break = len(vocab)
        vocab[chr(_BREAK)] = self._break
        self._tokenizer: Any = Tokenizer(BPE(vocab=vocab, merges=pairs))
        self._tokenizer.pre_tokenizer = _at_breaks("isolated")
        self._dtype = "u1" if base_size <= 1 << 8 else "u2" if base_size <= 1 << 16 else "u4"

    def apply(
        self, pieces: "Sequence[np.ndarray]", starts: "Sequence[np.ndarray]"
    ) -> "list[np.ndarray]":
        """Return the pieces with merges applied, int64; `starts`: the breaks in each."""
        import numpy as np

        places: dict[bytes, int] = {}
        order: list[int] = []
        ends: list[int] = []
        for ids, begins in zip(pieces, starts, strict=True):
            order += [places.setdefault(w, len(places)) for w in self._words(ids, begins)]
            ends.append(len(order))
        flat, offsets, lengths = self._merged(list(places))
        chosen = np.array(order, dtype=np.int64)
        counts = lengths[chosen]
        after = np.concatenate(([0], np.cumsum(counts)))
        within = np.arange(after[-1]) - np.repeat(after[:-1], counts)
        found = flat[np.repeat(offsets[chosen], counts) + within]
        return [found[a:b] for a, b in pairwise(after[[0, *ends]].tolist())]

    def _words(self, ids: "np.ndarray", starts: "np.ndarray") -> list[bytes]:
        """Return the bytes of the ids before the first start, and from each to the next."""
        import numpy as np

        array = np.asarray(ids).astype(self._dtype)
        data, size = array.tobytes(), array.itemsize
        edges = [0, *(np.asarray(starts) * size).tolist(), len(data)]
        return [data[a:b] for a, b in pairwise(edges) if a < b]

    def _merged(self, words: "Sequence[bytes]") -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
        """Return model ids, int64, and where in them those of each word are: offset and length."""
        import numpy as np

        texts = []
        for first in range(0, len(words), _TOGETHER):
            part = words[first : first + _TOGETHER]
            ids = np.frombuffer(b"".join(part), self._dtype)
            sizes = np.array([len(word) for word in part]) // ids.itemsize
            texts.append(_text(ids, np.cumsum(sizes) - sizes))
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        found = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        flat = np.concatenate([*found, [self._break]])
        breaks = np.flatnonzero(flat == self._break)
        return flat, breaks[:-1] + 1, np.diff(breaks) - 1


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
    tokenizer.pre_tokenizer = _at_breaks("removed")
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
    """Return ids as text: a character an id, a break before every start."""
    import numpy as np

    codes = np.asarray(ids, dtype=np.uint32) + np.uint32(_FIRST)
    codes = np.where(codes < _SURROGATES, codes, codes + np.uint32(_GAP))
    return np.insert(codes, starts, _BREAK).astype("<u4").tobytes().decode("utf-32-le")


def _at_breaks(behavior: str) -> Any:
    """Return what cuts a text at its breaks, which are then ``removed`` or ``isolated``."""
    from tokenizers.pre_tokenizers import Split

    return Split(chr(_BREAK), behavior=behavior)
