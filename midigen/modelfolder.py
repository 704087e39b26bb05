"""A model folder: safetensors and JSON. Nothing in it is ever unpickled or imported.

model.safetensors, config.json (for the default model as Hugging Face's `LlamaConfig`, plus a
``midigen`` object), vocab.json, split.json, metrics.jsonl, curves.png, README.md.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midigen.errors import MidigenError
from midigen.modelvocab import ModelVocab
from midigen.registry import load as load_plugin
from midigen.spec import parse_tok
from midigen.split import SplitRule
from midigen.tokenizers import learned

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG, VOCAB, SPLIT = "model.safetensors", "config.json", "vocab.json", "split.json"
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(slots=True)
class Loaded:
    """A model that is ready to run.

    config: all of config.json. window: the longest sequence it was trained on, in model ids.
    weights_hash: the first 16 hex digits of the SHA-256 of model.safetensors.
    """

    model: "torch.nn.Module"
    config: dict[str, Any]
    vocab: ModelVocab
    split_rule: SplitRule
    window: int
    path: Path
    weights_hash: str


def load(path: str | Path, device: str = "cpu", dtype: "torch.dtype | None" = None) -> Loaded:
    """Open a model folder, in eval mode; `dtype` None is float32, whatever the file stores.

    Raises MidigenError naming what is missing, or the model plugin that is not installed.
    """
    folder = Path(path)
    config, vocab = read_config(folder), read_vocab(folder)
    weights = _need(folder, WEIGHTS)
    own = config["midigen"]

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    plugin = load_plugin("models", own["model"])
    model = plugin.build(make_config(plugin.Config, own["config"]), len(vocab))
    model = model.to(device=device, dtype=dtype or torch.float32)
    try:
        model.load_state_dict(load_file(weights, device=device), strict=True)
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise MidigenError(
            f"{weights} does not fit config.json and vocab.json: {reason}"
        ) from error
    return Loaded(
        model.eval().requires_grad_(False),
        config,
        vocab,
        read_split(folder),
        own["window"],
        folder,
        hash_weights(weights),
    )


def save(
    folder: str | Path,
    weights: "Mapping[str, torch.Tensor]",
    *,
    plugin: str,
    model_config: Any,
    vocab: ModelVocab,
    split_rule: SplitRule,
    window: int,
    dtype: str = "fp32",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write weights, config, vocabulary and split into an existing folder.

    weights: a state dict. dtype: how weights are stored: fp32, bf16 or fp16. more: further keys of
    config.json's ``midigen`` object. Each file is written beside its name and renamed.
    """
    import torch
    from safetensors.torch import save as serialize

    target = Path(folder)
    kind = getattr(torch, DTYPES[dtype])
    state = {
        name: tensor.detach().to("cpu", kind).contiguous().clone()
        for name, tensor in weights.items()
    }
    part = target / f"{WEIGHTS}.part"
    # safetensors' own way to a file makes it readable to its owner alone.
    part.write_bytes(serialize(state, metadata={"format": "pt"}))
    part.replace(target / WEIGHTS)
    own = {
        "version": 1,
        "model": plugin,
        "config": asdict(model_config),
        "window": window,
        **(more or {}),
    }
    describe = getattr(load_plugin("models", plugin), "hf_config", None)
    foreign = describe(model_config, vocab, window) if describe else {}
    write_json(target / CONFIG, {**foreign, "torch_dtype": DTYPES[dtype], "midigen": own})
    write_json(target / VOCAB, vocab.to_json())
    write_json(target / SPLIT, split_rule.to_json())


def make_config(kind: type, values: Mapping[str, Any]) -> Any:
    """Return a model's config dataclass. Raises MidigenError for a key that it does not have."""
    assert is_dataclass(kind)
    known = [field.name for field in fields(kind)]
    for key in values:
        if key not in known:
            raise MidigenError(f"the model has no setting {key!r}; known: {', '.join(known)}")
    return kind(**values)


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json. Raises MidigenError if `folder` is no model folder of midigen."""
    config = _read_json(folder, CONFIG)
    if "midigen" not in config or config["midigen"].get("version") != 1:
        raise MidigenError(f"{folder / CONFIG} was not written by this version of midigen")
    return config


def read_vocab(folder: Path) -> ModelVocab:
    """Return the vocabulary of a model folder, without its weights.

    If its base was learned, records that name it can be decoded from now on.
    """
    vocab = ModelVocab.from_json(_read_json(folder, VOCAB))
    if vocab.definition is not None:
        learned(str(folder / VOCAB))
    return vocab


def tokenizer_text(folder: Path) -> tuple[str, str]:
    """Return a model's tokenizer as a command line names it (`registry.tokenizer`, trusted), and
    the fingerprint that it must have. A learned one is named by the file that carries it.
    """
    vocab = read_vocab(folder)
    spec, fingerprint = parse_tok(vocab.tok)
    return (spec if vocab.definition is None else str(folder / VOCAB)), fingerprint


def read_split(folder: Path) -> SplitRule:
    """Return the split rule of a model folder."""
    return SplitRule.from_json(_read_json(folder, SPLIT))


def hash_weights(path: Path) -> str:
    """Return the first 16 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside `path` and rename it."""
    part = path.with_name(path.name + ".part")
    text = json.dumps(value, ensure_ascii=False, indent=1)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def _need(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        what = f"has no {name}: not a model folder" if folder.is_dir() else "does not exist"
        raise MidigenError(f"{folder} {what}")
    return folder / name


def _read_json(folder: Path, name: str) -> Any:
    path = _need(folder, name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MidigenError(f"{path} is not JSON: {error}") from error
