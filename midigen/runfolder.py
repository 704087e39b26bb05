"""Where a run lives: ``OUT.training`` until it is done, then ``OUT``.

training/ in it holds settings.json, the state, and the token store unless --store names another.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from midigen import checkpointing
from midigen.atomic import move_folder
from midigen.errors import MidigenError
from midigen.modelfolder import CONFIG


@dataclass(frozen=True, slots=True)
class RunFolder:
    """out: the name of the finished model. work: the folder until then."""

    out: Path

    @property
    def work(self) -> Path:
        return self.out.with_name(self.out.name + ".training")

    @property
    def state(self) -> Path:
        return self.work / "training"

    @property
    def settings(self) -> Path:
        return self.state / "settings.json"

    @property
    def metrics(self) -> Path:
        return self.work / "metrics.jsonl"

    def begin(self, force: bool) -> None:
        """Make room for a new run. Raises MidigenError where another model or run stands."""
        if not force:
            if self.out.exists() or self.out.is_symlink():
                what = "holds a model" if (self.out / CONFIG).is_file() else "exists"
                raise MidigenError(
                    f"{self.out} {what}; --force replaces it, --resume continues its training"
                )
            if self.settings.is_file():
                raise MidigenError(
                    f"{self.work} holds an unfinished run; --resume continues it, --force drops it"
                )
        if self.work.exists():
            shutil.rmtree(self.work)
        self.state.mkdir(parents=True)

    def held(self) -> Path:
        """Return the ``training`` folder of the run to continue. Raises MidigenError if none."""
        if self.settings.is_file():
            return self.state
        finished = self.out / "training"
        if not checkpointing.exists(finished):
            raise MidigenError(
                f"nothing to resume: neither {self.work} nor {self.out} holds the state of a run"
            )
        return finished

    def reopen(self) -> None:
        """Make `work` hold the run to continue: a finished one goes on in a copy beside it."""
        if self.held() == self.state:
            return
        if self.work.exists():
            shutil.rmtree(self.work)
        shutil.copytree(self.out, self.work, copy_function=_link)

    def finish(self, force: bool) -> None:
        """Give the folder its name."""
        move_folder(self.work, self.out, force=force)

    def drop_state(self) -> None:
        """Leave the model without what could continue its training."""
        shutil.rmtree(self.state)

    def drop(self) -> None:
        """Remove a run that has not begun to train."""
        shutil.rmtree(self.work, ignore_errors=True)


def free_name(folder: Path = Path()) -> Path:
    """Return ``midigen-model-N`` with the first N that no model and no run has."""
    number = 1
    while True:
        found = RunFolder(folder / f"midigen-model-{number}")
        if not found.out.exists() and not found.work.exists():
            return found.out
        number += 1


def last_unfinished(folder: Path = Path()) -> Path:
    """Return the newest run without a name of its own, for ``--resume`` without ``-o``."""
    works = [path for path in folder.glob("midigen-model-*.training") if path.is_dir()]
    if not works:
        raise MidigenError("nothing to resume here: no midigen-model-*.training; name it with -o")
    newest = max(works, key=lambda path: path.stat().st_mtime)
    return newest.with_name(newest.name.removesuffix(".training"))


def _link(source: str, target: str) -> str:
    """Copy small files, which are appended to; the store and the state are only ever replaced."""
    if source.endswith((".bin", ".safetensors")):
        try:
            os.link(source, target)
        except OSError:
            return shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)
