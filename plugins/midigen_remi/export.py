"""MidiTok's ``tokenizer.json``, with which MidiTok reads and writes the ids of a model.

Merges go into its ``_model``, a BPE of Hugging Face `tokenizers` over one character an id, as
MidiTok's `train` builds it: applied bar by bar, they give the ids that the model has.
"""

import json
from collections.abc import Sequence
from typing import Any

from midigen_remi.miditok_import import import_miditok

FILE = "tokenizer.json"
_FIRST = 33
"""The character of id 0: MidiTok's CHR_ID_START."""

Merge = tuple[tuple[int, ...], tuple[int, ...]]
"""The base ids of the two parts."""


def tokenizer_json(kind: str, arguments: dict[str, Any], merges: Sequence[Merge]) -> str:
    """Return the file of a tokenizer of MidiTok's class `kind`; arguments: its configuration's.

    merges: in the order in which they were learned; none for a class with several vocabularies.
    """
    miditok = import_miditok()
    made = getattr(miditok, kind)(miditok.TokenizerConfig(**arguments))
    data = made.to_dict()
    if merges:
        data |= {
            "_vocab_base": made.vocab,
            "_model": _model(len(made.vocab), merges),
            "_vocab_base_byte_to_token": {
                chr(_FIRST + id): token for token, id in made.vocab.items()
            },
        }
    return json.dumps(data, indent=4)


def _model(size: int, merges: Sequence[Merge]) -> str:
    """Return a BPE over `size` base ids, as JSON."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocab = {chr(_FIRST + id): id for id in range(size)}
    pairs = []
    for left, right in merges:
        pair = _text(left), _text(right)
        pairs.append(pair)
        vocab.setdefault("".join(pair), len(vocab))
    bpe: Any = models.BPE(
        vocab=vocab, merges=pairs, continuing_subword_prefix="", end_of_word_suffix=""
    )
    model: Any = Tokenizer(bpe)
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    text: str = model.to_str()
    return text


def _text(ids: Sequence[int]) -> str:
    return "".join(chr(_FIRST + id) for id in ids)
