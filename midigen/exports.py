"""What a model folder holds for other libraries, beside the weights: their tokenizers."""

from pathlib import Path

from midigen.modelvocab import ModelVocab
from midigen.protocols import ExportingTokenizer
from midigen.tokenizers import tokenizer_of


def write_exports(folder: Path, vocab: ModelVocab) -> list[Path]:
    """Write the files that a model's tokenizer has for other libraries; return their paths.

    They know base and merged ids; conditions, which no other library has, are not in them.
    """
    tokenizer = tokenizer_of(vocab.tok)
    if not isinstance(tokenizer, ExportingTokenizer):
        return []
    merges = [(vocab.expansion(a), vocab.expansion(b)) for a, b in vocab.merges]
    written = []
    for name, text in tokenizer.exports(merges).items():
        path = folder / name
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        written.append(part.replace(path))
    return written
