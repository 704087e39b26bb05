"""Names as people write them: equal without regard to case, accents, spaces, hyphens, underscores.

``Hip-Hop``, ``hip_hop`` and ``HIPHOP`` are one genre, ``Björk`` and ``bjork`` one artist.
"""

import unicodedata
from functools import lru_cache

_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe"})
"""Letters whose stroke or ligature people leave out like an accent; Unicode does not part them."""


@lru_cache(maxsize=1 << 16)
def fold(name: str) -> str:
    """Return the key under which equal names meet.

    Accents are the combining diacritical marks U+0300 to U+036F only: marks of other scripts
    (Japanese voicing, Indic vowels) make a different letter.
    """
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    text = text.translate(_STROKES)
    kept = "".join(c for c in text if not "\u0300" <= c <= "\u036f" and not _is_gap(c))
    return kept or name


def _is_gap(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Pc", "Pd", "Zs", "Cf")
