"""Draws samples from a model: many at a time, each by its own randomness.

The boundary: model ids and logits in, finished drafts out. What may come next and when a sample is
complete is `midigen.draft`'s; what the model reads first is `midigen.context`'s.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from midigen import sampling_rules as rules
from midigen.draft import Draft

if TYPE_CHECKING:
    import numpy as np
    import torch

CHUNK = 256
"""Places that are read in one go: bounds the memory of their logits, (B, CHUNK, V)."""


RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_k": (0, 500),
    "top_p": (0.01, 1.0),
    "min_p": (0.0, 1.0),
    "guidance": (0.0, 20.0),
    "repetition": (0.5, 5.0),
}
"""What `Settings` may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The rules in turn: temperature 0 takes the likeliest; top_k 0, top_p 1, min_p 0 are off.

    guidance: how much what the conditions change counts, before all rules; 1: as it is.
    repetition: the penalty on notes that the model has read, also before all rules; 1: none.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    guidance: float = 1.0
    repetition: float = 1.0


AS_TOKSAMPLE = Settings(temperature=1.0, top_p=0.99)
"""What toksample draws by without options, where nothing rare is asked for."""


def choose(logits: "np.ndarray", drafts: Sequence[Draft], settings: Settings) -> list[int | None]:
    """Draw the next id of every draft from logits (B, V); None where nothing may come.

    Greedy or not, an id that leaves no room for a valid end gives way to the next one drawn.
    """
    import numpy as np

    if settings.repetition != 1:
        read = [draft.notes_read() for draft in drafts]
        logits = rules.repetition(logits, read, settings.repetition)
    allowed = np.array([draft.allowed() for draft in drafts])
    has_way = np.logical_or.reduce(allowed, axis=1)
    # A row without a way on is ended below; until then it must not turn into NaN.
    allowed[~has_way] = True
    scores = rules.mask(logits, allowed)
    if settings.temperature > 0:
        scores = rules.temperature(scores, settings.temperature)
        scores = rules.top_k(scores, settings.top_k)
        scores = rules.top_p(scores, settings.top_p)
        scores = rules.min_p(scores, settings.min_p)
        scores += rules.gumbel(_noise(drafts))
    return [
        _first_fitting(row, draft) if goes_on else None
        for row, draft, goes_on in zip(scores, drafts, has_way, strict=True)
    ]


def _noise(drafts: Sequence[Draft]) -> "np.ndarray":
    """Return numbers (B, V) in [0, 1), each draft's of its own randomness."""
    import numpy as np

    found = np.empty((len(drafts), len(drafts[0].plan.vocab)))
    for row, draft in zip(found, drafts, strict=True):
        draft.write_noise(row)
    return found


def _first_fitting(scores: "np.ndarray", draft: Draft) -> int | None:
    """Return the id of the highest score (V,) that the draft has room for, if there is one."""
    while True:
        id = int(scores.argmax())
        if scores[id] == rules.NEVER:
            return None
        if draft.fits(id):
            return id
        scores[id] = rules.NEVER


class Rows:
    """Drafts that the model reads side by side, and the logits (B, V) of what comes next in each.

    The rows of the cache end at the same place and begin at different ones: a draft can take the
    row of another at any time. With guidance every draft has a second row, B behind the first, that
    reads the same without the conditions (classifier-free guidance: Ho and Salimans,
    arXiv 2207.12598).
    """

    def __init__(
        self, model: Any, window: int, drafts: Iterable[Draft], guidance: float = 1.0
    ) -> None:
        self._model = model
        self._window = window
        self._guidance = guidance
        self._device = next(model.parameters()).device
        self.drafts = list(drafts)
        self._read_all()

    def _contexts(self, drafts: Iterable[Draft]) -> list[list[int]]:
        """Return what is read for drafts: with conditions, then, under guidance, without."""
        whole = list(drafts)
        found = [draft.context for draft in whole]
        if self._guidance != 1:
            found += [draft.context[len(draft.prompt.conditions) :] for draft in whole]
        return found

    def _guided(self, logits: "np.ndarray") -> "np.ndarray":
        """Return logits (B, V) out of those of all rows."""
        if self._guidance == 1:
            return logits
        half = len(logits) // 2
        asked, plain = logits[:half], logits[half:]
        return plain + self._guidance * (asked - plain)

    def _read_all(self) -> None:
        """Read the contexts of all drafts into a fresh cache."""
        contexts = self._contexts(self.drafts)
        longest = max(map(len, contexts))
        # A single row never needs more than a window. Several end in the same place, so a row that
        # starts anew pushes the others on.
        room = self._window if len(contexts) == 1 else 2 * self._window
        self._cache = self._model.new_cache(len(contexts), room)
        self._cache.starts[:] = self._tensor([longest - len(context) for context in contexts])
        padded = [[0] * (longest - len(context)) + context for context in contexts]
        self.logits = self._guided(self._read(padded, self._cache))
        for draft in self.drafts:
            draft.is_stale = False

    def _read_row(self, row: int) -> None:
        """Read the context of one draft into its rows, so that they end where the others do."""
        import numpy as np

        draft = self.drafts[row]
        found = []
        for side, context in enumerate(self._contexts([draft])):
            cache = self._model.new_cache(1, self._cache.length)
            cache.length = self._cache.length - len(context)
            cache.starts[:] = cache.length
            found.append(self._read([context], cache)[0])
            self._cache.put(row + side * len(self.drafts), cache)
        self.logits[row] = self._guided(np.stack(found))[0]
        draft.is_stale = False

    def _read(self, ids: Sequence[Sequence[int]], cache: Any) -> "np.ndarray":
        """Return the logits (B, V), float64, behind ids (B, T)."""
        import torch

        with torch.inference_mode():
            for part in self._tensor(ids).split(CHUNK, dim=1):
                logits = self._model.step(part, cache)
            return logits[:, -1].to("cpu", torch.float64).numpy()

    def _tensor(self, values: Any) -> "torch.Tensor":
        import torch

        return torch.tensor(values, dtype=torch.int64, device=self._device)

    def replace(self, row: int, draft: Draft) -> None:
        """Put a new draft in the place of a finished one."""
        self.drafts[row] = draft

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only: the last of them take the places of those that are done."""
        count = len(rows)
        if count < len(self.drafts):
            stay, move = set(rows), (row for row in rows if row >= count)
            places = [row if row in stay else next(move) for row in range(count)]
            both = places
            if self._guidance != 1:
                both = places + [row + len(self.drafts) for row in places]
            self.drafts = [self.drafts[row] for row in places]
            self._cache.select(self._tensor(both))

    def advance(self) -> None:
        """Read what was written last in every draft."""
        stale = [row for row, draft in enumerate(self.drafts) if draft.is_stale]
        place = self._cache.length + 1
        longest = max((len(self.drafts[row].context) for row in stale), default=0)
        full = place > self._cache.capacity or longest > place
        if full or len(stale) == len(self.drafts):
            self._read_all()
            return
        # What a stale row reads here is overwritten below.
        last = [context[-1:] for context in self._contexts(self.drafts)]
        self.logits = self._guided(self._read(last, self._cache))
        for row in stale:
            self._read_row(row)


def sample(
    model: Any, window: int, drafts: Iterable[Draft], settings: Settings, batch: int
) -> Iterator[Draft]:
    """Write drafts to their end, `batch` at a time, and yield them in their order.

    `drafts` is read as places become free. A draft's randomness is its own, so what it becomes does
    not depend on those beside it, as far as floating-point sums do not.
    """
    waiting = iter(drafts)
    order: deque[Draft] = deque()

    def take() -> Draft | None:
        for draft in waiting:
            order.append(draft)
            if not draft.done:
                return draft
        return None

    first = [draft for draft in (take() for _ in range(batch)) if draft is not None]
    rows = Rows(model, window, first, settings.guidance) if first else None
    while rows is not None and rows.drafts:
        ids = choose(rows.logits, rows.drafts, settings)
        alive = []
        for row, (draft, id) in enumerate(zip(rows.drafts, ids, strict=True)):
            draft.finish() if id is None else draft.accept(id)
            successor = take() if draft.done else None
            if successor is not None:
                rows.replace(row, successor)
            if not draft.done or successor is not None:
                alive.append(row)
        while order and order[0].done:
            yield order.popleft()
        rows.keep(alive)
        if alive:
            rows.advance()
    yield from order


def stream(model: Any, window: int, draft: Draft, settings: Settings) -> Iterator[tuple[int, int]]:
    """Write a draft to its end; yield where each bar begins and ends in its ids, once it is whole.

    What stands before the first bar goes with it.
    """
    rows, told = Rows(model, window, [draft], settings.guidance), 0
    while not draft.done:
        (id,) = choose(rows.logits, [draft], settings)
        draft.finish() if id is None else draft.accept(id)
        # A bar that was begun and taken back begins where the ids end.
        ends = [place for place in draft.bars[told + 1 :] if place < len(draft.ids)]
        ends += [len(draft.ids)] * draft.done
        for end in ends:
            begin = draft.bars[told] if told else draft.start
            if end > begin:
                yield begin, end
            told += 1
        if not draft.done:
            rows.advance()
