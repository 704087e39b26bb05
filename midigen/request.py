"""What is asked of a training run, and where it speaks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from midigen.recipes import Recipe
from midigen.spool import Source


class Teller(Protocol):
    """Where a run speaks: the command's `Run`."""

    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, items: None = None, *, total: int | None = None, unit: str = "") -> Any: ...


@dataclass(slots=True)
class Request:
    """What the user asked for.

    asked: the settings that were given, by name. source: the stream, or None to read none.
    store: a folder for the token store, or None for the run's own. about: words for the card.
    init: the model folder that a new run goes on from. recipe: names the stream's tokenizer.
    tensorboard: a folder for event files. shard: split the weights between the processes that
    torchrun has started.
    """

    asked: dict[str, Any]
    source: Source | None
    paths: list[str]
    out: Path | None = None
    store: Path | None = None
    resume: bool = False
    force: bool = False
    device: str = "auto"
    about: str = ""
    command: str = ""
    keep_state: bool = True
    dry: bool = False
    shard: bool = False
    init: Path | None = None
    recipe: Recipe | None = None
    tensorboard: Path | None = None


class Mute:
    """A teller that says nothing: all processes but the first have one."""

    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, items: None = None, *, total: int | None = None, unit: str = "") -> Any:
        from tqdm import tqdm

        return tqdm(total=total, disable=True)
