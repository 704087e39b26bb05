"""`text`: the bytes of a text, one id a byte.

**Ids.** The 256 ids are the values of the bytes, ``Byte_0`` to ``Byte_255``, as in the byte-level
models of Xue et al. 2022 (ByT5) without their special ids. There are no parameters.

**What it holds.** Any bytes. There are no bars: lengths are counted in tokens, which are bytes, and
losses are told a byte.

**What it loses.** Nothing.

**A repair.** Ids decode to the bytes that they are. Counted as ``not UTF-8`` is every maximal
sequence of bytes that is not part of a well-formed character (the Unicode Standard, chapter 3.9,
table 3-7); it stays as it is. The grammar is that table: what is sampled under it is UTF-8.

**Words.** Merges that a model learns (byte-pair encoding, as in Radford et al. 2019, GPT-2) stay
within words. A word is a run of letters, of digits, of white space or of anything else, with the
one space before it. An apostrophe between letters is a letter, and so are the bytes of characters
beyond ASCII, but for those of general punctuation (U+2000 to U+207F: dashes, curly quotes). Words
follow from the bytes around their borders alone: a text that is cut at one merges to the same ids
on both sides. What a model reads of a long text, and the last tenth of a single one that is held
out, begin with a word.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded
from midigen.vocab import Vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_text.grammar import Utf8


class Text:
    """A tokenizer (`midigen.protocols.WordTokenizer`) without parameters."""

    spec = "text"
    medium: Literal["score", "text"] = "text"
    unit = 1

    def __init__(self, **params: str) -> None:
        """Raises MidigenError for any parameter."""
        if params:
            raise MidigenError(f"text has no parameters, so not {', '.join(params)} either")
        self.vocab = Vocab(f"Byte_{value}" for value in range(256))

    def encode(self, x: Any) -> Encoded:
        """Encode bytes. Raises Reject (``empty``)."""
        import numpy as np

        if not x:
            raise Reject("empty", "no bytes")
        return Encoded([np.frombuffer(x, dtype=np.uint8)])

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Return the bytes of all parts, end to end, and how many places are not UTF-8."""
        import numpy as np

        from midigen_text.grammar import malformed

        value = b"".join(np.asarray(part, dtype=np.uint8).tobytes() for part in parts)
        faults = malformed(value)
        return Decoded(value, {"not UTF-8": faults} if faults else {})

    def grammar(self) -> "Utf8":
        """Return the automaton of UTF-8."""
        from midigen_text.grammar import Utf8

        return Utf8()

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return no index: text has no bars."""
        import numpy as np

        return np.zeros(0, dtype=np.int64)

    def word_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices at which a word begins, ascending."""
        from midigen_text.words import word_starts

        return word_starts(ids)
