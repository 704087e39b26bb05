"""Weights that a run starts from (``--init-from``): a model folder, or one of Hugging Face's LLaMA.

The vocabulary must be the stream's; conditions that it does not have yet are added behind it, with
rows of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midigen.errors import MidigenError, UsageError
from midigen.modelfolder import CONFIG, SPLIT, WEIGHTS, make_config, read_split, read_vocab
from midigen.modelvocab import ModelVocab
from midigen.registry import installed
from midigen.registry import load as load_plugin
from midigen.settings import Settings
from midigen.split import SplitRule

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Initial:
    """A model to go on from.

    config: the plugin's, a dataclass. vocab: None for a folder of another program. size: its ids.
    window: what it was trained on, in model ids. split: the rule by which it was, if that is known.
    """

    folder: Path
    plugin: str
    config: Any
    vocab: ModelVocab | None
    size: int
    window: int
    split: SplitRule | None = None

    def adopt(self, settings: Settings, asked: Mapping[str, Any]) -> Settings:
        """Return the settings of a run that goes on from here.

        Raises UsageError where another model, other merges or other specials were asked for.
        """
        spec = f"{self.plugin}:" + ",".join(
            f"{k}={_text(v)}" for k, v in asdict(self.config).items()
        )
        for name in ("model", "preset"):
            if name in asked:
                raise UsageError(f"--init-from brings its model: no --{name}")
        known = self.vocab
        if known is None:
            if settings.bpe:
                raise UsageError("--init-from a folder of another program: no --bpe")
            bpe, specials = 0, settings.specials
        else:
            bpe, specials = len(known.expansions), known.specials
            if settings.bpe not in (0, bpe):
                raise UsageError(f"--init-from brings {bpe} merges, not {settings.bpe}")
        window = settings.window if "window" in asked else self.window
        batch = max(settings.batch, window)
        return replace(settings, model=spec, bpe=bpe, specials=specials, window=window, batch=batch)

    def check(self, tok: str, size: int) -> None:
        """Raise MidigenError unless the model reads `tok`, a vocabulary of `size` ids."""
        if self.vocab is not None and self.vocab.tok != tok:
            raise MidigenError(f"{self.folder} reads {self.vocab.tok}, the stream has {tok}")
        if self.vocab is None and self.size != size:
            raise MidigenError(f"{self.folder} has {self.size} ids, {tok} has {size}")

    def fill(self, model: "nn.Module", vocab: ModelVocab) -> None:
        """Give `model` these weights. Rows for ids that they lack become the mean of the others.

        Raises MidigenError where they do not fit.
        """
        import torch
        from safetensors.torch import load_file

        found: dict[str, Tensor] = load_file(self.folder / WEIGHTS)
        own = model.state_dict()
        if set(found) != set(own):
            odd = sorted(set(found) ^ set(own))[0]
            raise MidigenError(f"{self.folder / WEIGHTS} is of another model: {odd}")
        with torch.no_grad():
            for name, value in found.items():
                own[name].copy_(_grown(value.float(), own[name], f"{self.folder}: {name}"))


def read_initial(folder: Path) -> Initial:
    """Read what kind of model a folder holds. Raises MidigenError if it is none that is known."""
    path = folder / CONFIG
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise MidigenError(f"{folder} has no {CONFIG} and {WEIGHTS}: not a model folder")
    config = json.loads(path.read_text(encoding="utf-8"))
    if "midigen" in config:
        own = config["midigen"]
        plugin = load_plugin("models", own["model"])
        made = make_config(plugin.Config, own["config"])
        vocab = read_vocab(folder)
        split = read_split(folder) if (folder / SPLIT).is_file() else None
        return Initial(folder, own["model"], made, vocab, len(vocab), own["window"], split)
    kind = config.get("model_type", "")
    read = None
    if kind in installed("models"):
        read = getattr(load_plugin("models", kind), "from_hf", None)
    if read is None:
        raise MidigenError(f"{path}: neither of midigen nor of a kind that is known: {kind!r}")
    window = config["max_position_embeddings"]
    return Initial(folder, kind, read(config), None, config["vocab_size"], window)


def _grown(value: "Tensor", like: "Tensor", what: str) -> "Tensor":
    """Return `value` in the shape of `like`: rows added, or without those that nothing names."""
    if value.shape == like.shape:
        return value
    if value.shape[1:] != like.shape[1:] or value.dim() != like.dim():
        raise MidigenError(f"{what} is {tuple(value.shape)}, the model has {tuple(like.shape)}")
    import torch

    missing = len(like) - len(value)
    if missing <= 0:
        return value[: len(like)]
    mean = value.mean(dim=0, keepdim=True)
    return torch.cat((value, mean.expand(missing, *value.shape[1:])))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
