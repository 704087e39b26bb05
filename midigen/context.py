"""What a model reads before it goes on: conditions, what is in force, and the last whole bars.

Of text, words stand in the place of bars.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from midigen.vocab import Vocab

if TYPE_CHECKING:
    from midigen.plan import Plan

NOTE_TYPES = ("Pitch", "PitchDrum", "NoteOn", "DrumOn")


def context(plan: "Plan", conditions: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Return model ids to continue base `ids` from: at most a window.

    All of them behind BOS if that fits. Else as many whole bars as fit in half a window, so that
    the other half stays free, behind the tempo, time signature and program that are in force there.
    A bar that is longer than that is cut at its front. A tokenizer that writes these in its own way
    has a method ``carry(past, ids, most)`` like the function below, adding at most `most` ids.
    """
    vocab = plan.vocab
    bos = [] if vocab.bos is None else [vocab.bos]
    whole = [*conditions, *bos, *vocab.encode(ids).tolist()]
    if len(whole) <= plan.window:
        return whole
    room = plan.window // 2 - len(conditions)
    # Each takes an id at least, so that no more than these can fit.
    starts = plan.breaks(ids)[-max(0, room) - 1 :]
    bars = [ids[a:b] for a, b in pairwise([*starts, len(ids)])]
    lengths = [len(bar) for bar in vocab.encode_many(bars)]
    first, used = len(bars), 0
    while first > 0 and used + lengths[first - 1] <= room:
        first -= 1
        used += lengths[first]
    if first == len(bars):
        return [*conditions, *_last_units(plan, ids, room)]
    # What is in force takes a few ids more; the half that stays free has room for them.
    past, last = ids[: starts[first]], ids[starts[first] :]
    own: Any = getattr(plan.tokenizer, "carry", None)
    window = carry(vocab.base, past, last) if own is None else own(past, last, plan.window // 4)
    return [*conditions, *vocab.encode(window).tolist()]


def _last_units(plan: "Plan", ids: Sequence[int], room: int) -> list[int]:
    """Return the model ids of the last base ids, as many whole units as `room` base ids hold."""
    unit = plan.tokenizer.unit
    start = max(0, len(ids) - max(room, unit))
    start += -start % unit
    merged: list[int] = plan.vocab.encode(ids[start:]).tolist()
    return merged


def carry(vocab: Vocab, past: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Return `ids`, which begin with a bar, with what the `past` left in force written in.

    Tempo, time signature and program, where the vocabulary has such tokens and `ids` do not name
    their own before the first note.
    """
    types = [vocab.types[id] for id in ids]
    first_note = next((i for i, kind in enumerate(types) if kind in NOTE_TYPES), len(ids))
    named = set(types[:first_note])
    kinds = [kind for kind in ("TimeSig", "Tempo", "Program") if kind in vocab.types]
    last = {kind: _last_of(vocab, past, kind) for kind in kinds}
    new = {kind: id for kind, id in last.items() if id is not None and kind not in named}
    out = list(ids)
    if "Program" in new and first_note < len(ids):
        out.insert(first_note, new["Program"])
    # Behind the bar and its time signature stands the position of a tempo.
    place = 2 if types[1:2] == ["TimeSig"] else 1
    header = [new["TimeSig"]] if "TimeSig" in new else []
    if "Tempo" in new and "Position_0" in vocab.index:
        position = vocab.index["Position_0"]
        if out[place : place + 1] == [position]:
            del out[place]
        header += [position, new["Tempo"]]
    out[place:place] = header
    return out


def _last_of(vocab: Vocab, ids: Sequence[int], kind: str) -> int | None:
    return next((id for id in reversed(ids) if vocab.types[id] == kind), None)
