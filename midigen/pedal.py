"""The sustain pedal: what it holds written into the notes, for tokenizers that know no pedal.

MIDI 1.0, controller 64: values from 64 press the pedal, those below release it; a note whose key is
let go while it is down sounds on until it is released.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from midigen.batches import encode_many
from midigen.content import word
from midigen.definitions import names_file
from midigen.errors import MidigenError, Reject, UsageError
from midigen.protocols import Encoded, Tokenizer
from midigen.spec import format_spec, parse_params, parse_spec
from midigen.vocab import Vocab

if TYPE_CHECKING:
    import numpy as np

WAYS = ("extend", "token", "drop")
SUSTAIN, DOWN = 64, 64
"""The controller's number, and the least value that presses the pedal."""
_CONTROLS = ("controlchange", "control", "controller", "cc")
_FOREVER = 2**62
_LAST_TICK = 2**31 - 1


def spec_for(spec: str, way: str) -> str:
    """Return the spec of a tokenizer that treats the pedal in one of `WAYS`.

    ``drop`` leaves `spec` as it is: the pedal is ignored unless its own parameters ask for it.
    Raises UsageError for another way, and for a tokenizer that cannot do it.
    """
    if way not in WAYS:
        raise UsageError(f"--pedal {way!r} is not one of {', '.join(WAYS)}")
    if way == "drop":
        return spec
    if names_file(spec) or spec.endswith(":@") or parse_spec(spec).is_object:
        raise UsageError(f"--pedal {way}: {spec} has no parameters that could say so")
    name, arg = parse_spec(spec)
    params = parse_params(arg)
    if way == "extend":
        return format_spec(name, params | {"pedal": "extend"})
    return _with_tokens(spec, name, params)


def _with_tokens(spec: str, name: str, params: dict[str, str]) -> str:
    """Return `spec` if its vocabulary holds the pedal, else the same with ``pedals=1``."""
    from midigen.registry import tokenizer

    if holds_pedal(tokenizer(spec).vocab):
        return spec
    asked = format_spec(name, params | {"pedals": "1"})
    try:
        found = holds_pedal(tokenizer(asked).vocab)
    except MidigenError:
        found = False
    if not found:
        raise UsageError(
            f"--pedal token: {spec} has no tokens for it; those with a parameter pedals do"
            " (remi:pedals=1), and --pedal extend works with every tokenizer of scores"
        )
    return asked


def holds_pedal(vocab: Vocab) -> bool:
    """Return whether a vocabulary has tokens of the pedal, or of controller 64."""
    for kind, value in zip(vocab.types, vocab.values, strict=True):
        name = word(kind)
        if name.startswith("pedal"):
            return True
        if name in _CONTROLS and value.partition("-")[0] == str(SUSTAIN):
            return True
    return False


def extend(score: Any) -> Any:
    """Return a `symusic.Score` in ticks whose notes last as long as the pedal holds them.

    A note that ends while its track's pedal is down lasts until the release, or until the same
    pitch begins anew; it is never shortened. Drums stay as they are. A score without a pedal is
    returned itself; else a copy, and no pedal is left in it.
    """
    held = [None if track.is_drum else _held(track) for track in score.tracks]
    if all(spans is None for spans in held):
        return score
    extended = score.copy()
    for track, spans in zip(extended.tracks, held, strict=True):
        if spans is not None:
            track.notes = _lengthened(track.notes, *spans)
            track.pedals = []
            track.controls = [c for c in track.controls if c.number != SUSTAIN]
    return extended


def _held(track: Any) -> "tuple[np.ndarray, np.ndarray] | None":
    """Return when the pedal of a track is pressed and released, (P,) each; None if it never is.

    From its controls; from its pedals where these have no controller 64. A pedal that is not
    released holds for ever.
    """
    import numpy as np

    controls = track.controls.numpy()
    ours = controls["number"] == SUSTAIN
    if not ours.any():
        pedals = track.pedals.numpy()
        if not len(pedals["time"]):
            return None
        on = pedals["time"].astype(np.int64)
        return on, on + pedals["duration"]
    order = np.argsort(controls["time"][ours], kind="stable")
    time = controls["time"][ours][order].astype(np.int64)
    down = controls["value"][ours][order] >= DOWN
    before = np.concatenate(([False], down[:-1]))
    on, off = time[down & ~before], time[~down & before]
    if not len(on):
        return None
    if len(off) < len(on):
        off = np.append(off, _FOREVER)
    return on, off


def _lengthened(notes: Any, on: "np.ndarray", off: "np.ndarray") -> Any:
    """Return notes held by a pedal that is down from `on` until `off`, (P,) each, ascending."""
    import numpy as np

    columns = notes.numpy()
    time = columns["time"].astype(np.int64)  # (N,)
    end = time + columns["duration"]
    # A pedal pressed at the very tick at which the key is let go still catches the note.
    span = np.searchsorted(on, end, side="right") - 1
    until = np.where(span >= 0, off[span], 0)
    until = np.minimum(until, _next_onsets(time, columns["pitch"]))
    # What no release and no later onset ends, ends with the last note.
    until[until >= _FOREVER] = end.max(initial=0)
    end = np.minimum(np.maximum(end, until), _LAST_TICK)
    return type(notes).from_numpy(
        columns["time"],
        (end - time).astype(np.int32),
        columns["pitch"],
        columns["velocity"],
    )


def _next_onsets(time: "np.ndarray", pitch: "np.ndarray") -> "np.ndarray":
    """Return for each of N notes when its pitch begins next, later than itself."""
    import numpy as np

    key = (pitch.astype(np.int64) << 32) + time
    ordered = np.append(np.sort(key), _FOREVER)
    following = ordered[np.searchsorted(ordered, key, side="right")]
    same = following >> 32 == pitch
    return np.where(same, following & 0xFFFFFFFF, _FOREVER)


@dataclass(frozen=True)
class Extended:
    """A tokenizer (`midigen.protocols.BatchTokenizer`) that reads scores with `extend` applied.

    Its vocabulary is that of `inner`, and it decodes as that does; its spec says `pedal=extend`.
    """

    inner: Tokenizer
    spec: str

    @classmethod
    def of(cls, inner: Tokenizer) -> "Extended":
        """Raises MidigenError for a tokenizer that holds the pedal itself, or reads no scores."""
        if inner.medium != "score" or hasattr(inner, "encode_midi_many"):
            raise MidigenError(f"{inner.spec} does not read scores: pedal=extend is not for it")
        if holds_pedal(inner.vocab):
            raise MidigenError(f"{inner.spec} holds the pedal itself: leave out pedal=extend")
        name, arg = parse_spec(inner.spec)
        return cls(inner, format_spec(name, parse_params(arg) | {"pedal": "extend"}))

    def __getattr__(self, name: str) -> Any:
        """What has nothing to do with reading is the inner tokenizer's."""
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def encode(self, x: Any) -> Encoded:
        """Encode a score. Raises Reject."""
        return self.inner.encode(extend(x))

    def encode_many(self, xs: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode scores, in order; in one go where the inner tokenizer can."""
        return encode_many(self.inner, list(map(extend, xs)))
