"""Models without training, for tests: a tiny one in a folder, and one that says what it is told."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from midigen import modelfolder
from midigen.modelvocab import ModelVocab
from midigen.registry import load, tokenizer
from midigen.split import SplitRule

CONDITIONS = {
    "genre": {"pop": 40, "Hip-Hop": 7, "classical": 30},
    "artist": {"Björk": 3},
    "era": {"1980s": 20, "1990s": 21},
}


def tok_of(spec: str) -> str:
    found = tokenizer(spec)
    return f"{found.spec}#{found.vocab.fingerprint}"


def some_merges(spec: str) -> list[tuple[int, int]]:
    """Return merges as training finds them: bar heads, notes' ends, whole notes."""
    vocab = tokenizer(spec).vocab
    index, size = vocab.index, len(vocab)
    pairs = [(index["Bar_None"], index["TimeSig_4/4"]), (size, index["Position_0"])]
    pairs += [(index["Velocity_63"], int(i)) for i in vocab.ids_of("Duration")[:12]]
    pairs += [(index["Program_0"], int(i)) for i in vocab.ids_of("Pitch")[20:50]]
    notes, ends = size + 14, size + 2
    pairs += [(notes + i, ends + i % 12) for i in range(30)]
    return [*pairs, (size + 44, size + 45)]


def tiny_vocab(
    spec: str = "remi",
    merges: Iterable[tuple[int, int]] = (),
    conditions: dict[str, dict[str, int]] | None = None,
) -> ModelVocab:
    found = tokenizer(spec)
    return ModelVocab(found.vocab, tok_of(spec), merges=merges, conditions=conditions or CONDITIONS)


def save_tiny(
    folder: Path,
    vocab: ModelVocab | None = None,
    *,
    window: int = 128,
    rule: SplitRule | None = None,
    seed: int = 0,
) -> Path:
    """Write a llama of one layer, as it is before training; return its folder."""
    vocab = vocab or tiny_vocab()
    plugin = load("models", "llama")
    config = plugin.Config(width=32, layers=1, head=16)
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    modelfolder.save(
        folder,
        plugin.build(config, len(vocab)).state_dict(),
        plugin="llama",
        model_config=config,
        vocab=vocab,
        split_rule=rule or SplitRule(),
        window=window,
    )
    return folder


class Fixed(torch.nn.Module):
    """A model whose logits are the same everywhere; it keeps what its rows have read last."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits, requires_grad=False)

    def new_cache(self, batch: int, length: int) -> Any:
        cache = SimpleNamespace(starts=torch.zeros(batch, dtype=torch.int64), length=0)
        cache.capacity = length
        cache.select = lambda rows: None
        cache.put = lambda row, other: None
        return cache

    def step(self, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        assert cache.length + ids.shape[1] <= cache.capacity
        cache.length += ids.shape[1]
        return self.logits.expand(*ids.shape, -1)
