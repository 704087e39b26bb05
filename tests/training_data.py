"""Stores and corpora made by hand, for tests of training."""

from collections.abc import Iterable
from pathlib import Path

from hand_records import lines_of, piece

from midigen.cli._edge import Silent
from midigen.corpus import Corpus, divide
from midigen.jsonl import RecordReader
from midigen.modelvocab import ModelVocab
from midigen.prefixes import Prefixes, count_values
from midigen.record import Record
from midigen.rejects import Rejects
from midigen.spool import Source, spool
from midigen.store import Store
from midigen.tokenizers import tokenizer_of


def pieces(count: int) -> list[Record]:
    return [piece(k) for k in range(count)]


def source_of(folder: Path, records: Iterable[Record]) -> Source:
    """Return the records as a stream that has not been read yet."""
    path = folder / "stream.jsonl"
    path.write_bytes(lines_of(records))
    rejects = Rejects()
    return Source(RecordReader([str(path)], rejects), rejects, Silent)


def store_of(folder: Path, records: Iterable[Record], name: str = "store") -> Store:
    return spool(source_of(folder, records), folder / name)


def corpus_of(folder: Path, records: Iterable[Record], name: str = "store") -> Corpus:
    store = store_of(folder, records, name)
    return divide(store, tokenizer_of(store.tok))


def vocab_of(corpus: Corpus, *, specials: bool = True, least: int = 1) -> ModelVocab:
    """Return a vocabulary with every value of the training pieces, without merges."""
    store = corpus.store
    fields = ("genre", "artist", "era")
    return ModelVocab(
        tokenizer_of(store.tok).vocab,
        store.tok,
        specials=specials,
        conditions=count_values(store, corpus.train.row, fields, least),
    )


def prefixes_of(corpus: Corpus, vocab: ModelVocab) -> Prefixes:
    return Prefixes(corpus.store, vocab)
