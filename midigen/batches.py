"""Many scores through a tokenizer: in one go where it can, else one by one."""

from collections.abc import Sequence
from typing import Any

from midigen.errors import Reject
from midigen.protocols import Encoded


def encode_many(tokenizer: Any, scores: Sequence[Any]) -> list[Encoded | Reject]:
    """Encode scores, in order. What the tokenizer rejects stands in the score's place."""
    if hasattr(tokenizer, "encode_many"):
        found: list[Encoded | Reject] = tokenizer.encode_many(scores)
        return found
    results: list[Encoded | Reject] = []
    for score in scores:
        try:
            results.append(tokenizer.encode(score))
        except Reject as reject:
            results.append(reject)
    return results
