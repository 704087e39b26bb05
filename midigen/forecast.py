"""What a run would do and take, from its data and a few steps of it."""

import copy
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

from midigen.memory import settle
from midigen.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will take, from a few steps of it. seconds: of the whole run; memory in bytes."""

    step_s: float
    steps: int
    seconds: float
    memory: int


def forecast(prepared: Prepared, device: str) -> Forecast:
    """Measure three steps on a copy of the model."""
    import torch

    from midigen.optimizer import Optimizer, compute_dtype

    if device == "cpu":
        settle()
    settings = prepared.settings
    dtype = compute_dtype(device, settings.dtype)
    optimizer = Optimizer(copy.deepcopy(prepared.model), device, dtype, settings)
    times = []
    for _, batch in zip(range(3), prepared.windows.batches(settings.rows), strict=False):
        start = time.monotonic()
        float(optimizer.step(batch, 1e-4)[0])
        times.append(time.monotonic() - start)
    step_s = min(times)
    if prepared.schedule.steps is not None:
        steps, seconds = prepared.schedule.steps, prepared.schedule.steps * step_s
    else:
        seconds = prepared.schedule.seconds or 0.0
        steps = max(1, int(seconds / step_s))
        if prepared.schedule.most and steps > prepared.schedule.most:
            steps = prepared.schedule.most
            seconds = steps * step_s
    if device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated(device)
    else:
        # Kilobytes on Linux, bytes on macOS (getrusage(2)).
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = peak if sys.platform == "darwin" else peak * 1024
    return Forecast(step_s, steps, seconds, memory)


def describe(prepared: Prepared, device: str, read_s: float) -> dict[str, Any]:
    """Return what a run would do, as JSON values; `read_s` is how long the stream took."""
    corpus, rows = prepared.corpus, prepared.corpus.store.rows
    found: dict[str, Any] = {"event": "plan"}
    for name, span in (("train", corpus.train), ("val", corpus.val), ("test", corpus.test)):
        notes = rows["notes"][span.row]
        found[name] = {
            "pieces": len(span),
            "copies": int(rows["copy"][span.row].sum()),
            "tokens": span.tokens,
            "notes": int(notes.sum(dtype="int64")) if (notes >= 0).all() else None,
        }
    ahead = forecast(prepared, device)
    return found | {
        "split": corpus.rule.kind,
        "near_duplicates": len(prepared.leaks),
        "ids": len(prepared.vocab),
        "merges": len(prepared.vocab.expansions),
        "conditions": {field: len(values) for field, values in prepared.vocab.counts.items()},
        "parameters": prepared.parameters,
        "device": device,
        "memory_mb": ahead.memory >> 20,
        "steps": ahead.steps,
        "epochs": round(ahead.steps / prepared.steps_an_epoch, 2),
        "seconds_a_step": round(ahead.step_s, 4),
        "minutes": round(ahead.seconds / 60, 2),
        "read_s": round(read_s, 1),
    }
