"""What a plugin provides. Structural types: a plugin imports none of this to fit."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from midigen.errors import Reject
from midigen.vocab import Vocab

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Encoded:
    """What a tokenizer makes of one input.

    parts: id arrays (unsigned), one for each sequence: one, or one a track.
    lossy: short words for what the vocabulary could not hold (``time_signature``): `meta.lossy`.
    programs: the program of each part (-1: drums) where the vocabulary has no Program tokens.
    tracks: which of the score's tracks (0..) each part comes from, where parts are tracks.
    """

    parts: "list[np.ndarray]"
    lossy: tuple[str, ...] = ()
    programs: list[int] | None = None
    tracks: list[int] | None = None


@dataclass(slots=True)
class Decoded:
    """What a tokenizer makes of ids: a score (or text) and how often it had to repair what."""

    value: Any
    repairs: dict[str, int] = field(default_factory=dict)


@runtime_checkable
class Grammar(Protocol):
    """An automaton over base ids: exactly the sequences that decode without a repair.

    States are small immutable hashable values; `mask` may return a cached read-only array.
    """

    def start(self) -> Hashable: ...

    def mask(self, state: Any) -> "np.ndarray":
        """Return bool (V,): the ids that may come next."""
        ...

    def step(self, state: Any, id: int) -> Hashable:
        """Return the state behind `id`, which must be allowed by `mask(state)`."""
        ...

    def accepting(self, state: Any) -> bool:
        """Return whether a sequence may end here."""
        ...

    def closing(self, state: Any) -> list[int]:
        """Return the shortest ids that lead to an accepting state (empty if this is one)."""
        ...


@runtime_checkable
class Tokenizer(Protocol):
    """Group ``midigen.tokenizers``. The entry point is called with the parameters, all strings."""

    spec: str
    """Canonical spec without fingerprint: only non-default parameters, keys sorted."""
    vocab: Vocab
    medium: Literal["score", "text"]
    unit: int
    """Ids an event: windows, crops and merges respect it. 1 for plain token streams."""

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks (not changed) or bytes of text. Raises Reject."""
        ...

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids in 0..V-1 (one sequence a part) without an exception."""
        ...

    def grammar(self) -> Grammar: ...

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of `ids` at which a bar begins, ascending.

        Merges never cross one; prompts, ``--bars`` and losses per bar count them.
        """
        ...


@runtime_checkable
class BatchTokenizer(Tokenizer, Protocol):
    """A tokenizer that encodes many scores in one go, for speed: same results as `encode`."""

    def encode_many(self, xs: Sequence[Any]) -> list[Encoded | Reject]: ...


@runtime_checkable
class MidiTokenizer(Tokenizer, Protocol):
    """A tokenizer that needs more of a file than a score holds: channels, controllers, tracks."""

    def encode_midi_many(self, files: Sequence[bytes]) -> list[Encoded | Reject]:
        """Encode Standard MIDI Files, in order; a Reject stands in the place of one that fails.

        `encode` does the same with the file that a score makes (`midigen.midi.midi_bytes`).
        """
        ...


@runtime_checkable
class WordTokenizer(Tokenizer, Protocol):
    """A tokenizer that has something shorter than bars, or has no bars: words of a text."""

    def word_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of `ids` at which a word begins, ascending.

        Merges never cross one. What a model reads of a long piece, and the last tenth of a single
        one, begin at one.
        """
        ...


@runtime_checkable
class ExportingTokenizer(Tokenizer, Protocol):
    """A tokenizer that other libraries have, too, and can read from a file."""

    def exports(self, merges: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> dict[str, str]:
        """Return files for a model folder, text by name, with which they have the model's ids.

        merges: of the model, in order: the base ids of the two parts of each.
        """
        ...


class Model(Protocol):
    """Group ``midigen.models``: the entry point is a module-like object with these names.

    More are used where they are there: ``PRESETS``, a dict from preset name to `Config`, for
    ``toktrain --preset``; ``hf_config(config, vocab, window) -> dict``, what config.json adds so
    that `transformers` opens the folder; ``from_hf(dict) -> Config``, the other way; and
    ``Config.longest``, the longest window, in ids, of a model with a place table.
    """

    Config: type
    """A dataclass of plain JSON values, with defaults."""

    def build(self, config: Any, vocab_size: int) -> "torch.nn.Module":
        """Return a module: ``forward((B, T) int64, segments=None) -> (B, T, V)`` logits.

        `segments` (B, T) int64 names the piece of each place in a packed window: places of
        different pieces do not attend to each other. The module also has ``new_cache(batch,
        length)`` and ``step(ids (B, T), cache) -> (B, T, V)``: it goes on where the cache ends.
        It may have ``decoder(precision)``, which returns something with these two that is faster;
        ``is_compiled`` is true of it where its threads need no limit.
        """
        ...


class Labeler(Protocol):
    """Group ``midigen.labelers``: the entry point is a callable ``(arg: str) -> Labeler``."""

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the `meta` to add to this record, or None where nothing matches.

        The record's own `meta` holds what the labelers before this one found. Raises Reject where
        it cannot decide: the record passes without these labels, and the reason is counted.
        """
        ...


@runtime_checkable
class NotingLabeler(Labeler, Protocol):
    """A labeler that has something to say at the end, beside what it gave to records."""

    def notes(self) -> list[str]:
        """Return lines for the user; none if there is nothing to say."""
        ...


@dataclass(slots=True)
class Fault:
    """An item that was lost in a worker: ``crash``, ``timeout`` or an exception's text."""

    reason: str
    detail: str = ""


class Executor(Protocol):
    """Group ``midigen.executors``: the entry point is a callable ``(arg: str, jobs: int)``."""

    def imap(
        self,
        fn: Callable[[Item], Result],
        items: Iterable[Item],
        timeout: float | None,
        in_flight: int,
    ) -> Iterator[tuple[Item, Result | Fault]]:
        """Yield (item, result or fault) in the order of `items`.

        A worker that dies or hangs costs one item and is replaced. `items` is read lazily: at most
        `in_flight` items are under way. `fn` is a picklable callable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Group ``midigen.checkpoints``: the entry point is a callable that returns one of these."""

    path: "Path"
    """A model folder."""
    starter: bool = False
    """True for the weights that `toksample` uses without ``-m``."""
