"""A sample made once more, from what its record or MIDI file says of its making."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from midigen.asked import resolve
from midigen.checkpoints import find
from midigen.controls import Controls
from midigen.devices import pick
from midigen.errors import MidigenError, UsageError
from midigen.jsonl import RecordReader, RecordWriter
from midigen.keys import read_key
from midigen.modelfolder import Loaded, load
from midigen.plan import Limits
from midigen.prompts import Task
from midigen.provenance import find_gen
from midigen.record import Record
from midigen.sampled import Request, Samples
from midigen.sampler import RANGES, Settings

_MOST_ROWS, _MOST_THREADS = 1 << 16, 1 << 10
"""More is no run of anybody, and would not end."""

if TYPE_CHECKING:
    from midigen.cli._edge import Run


@dataclass(frozen=True, slots=True)
class Again:
    """gen: what the sample's record held. request: what makes it and those before it.

    Of a piece in several parts, gen is that of the first.
    """

    gen: dict[str, Any]
    request: Request

    @property
    def reads(self) -> bool:
        """Whether a prompt is needed."""
        return self.gen["prompt"] is not None

    def is_it(self, record: Record) -> bool:
        """Return whether a record is the one that is made again."""
        own = record["gen"]
        return all(own.get(key) == self.gen.get(key) for key in ("sample", "bar"))


def read_again(path: str) -> Again:
    """Read a MIDI file, or a file of one record. Raises MidigenError if neither says how."""
    data = Path(path).read_bytes()
    gen = find_gen(data) if data.startswith(b"MThd") else _of_record(data, path)
    if gen is None:
        raise MidigenError(f"{path} does not say what made it: no text event of midigen")
    try:
        return Again(gen, _request(gen))
    except UsageError as error:
        raise MidigenError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise MidigenError(
            f"{path}: made by version {gen.get('version')}, which says too little of how: {error!r}"
        ) from error


def _of_record(data: bytes, path: str) -> dict[str, Any] | None:
    try:
        record = orjson.loads(data.partition(b"\n")[0])
    except orjson.JSONDecodeError:
        raise MidigenError(f"{path} is neither a MIDI file nor a record") from None
    gen = record.get("gen") if isinstance(record, dict) else None
    return gen if isinstance(gen, dict) else None


def _request(gen: Mapping[str, Any]) -> Request:
    settings, run = gen["settings"], gen["run"]
    for value, most in (
        (gen["seed"], None),
        (gen["index"], None),
        (run["number"], None),
        (run["batch"], _MOST_ROWS),
        (run["threads"], _MOST_THREADS),
    ):
        if type(value) is not int or not 0 <= value <= (value if most is None else most):
            raise ValueError(f"{value!r} is not a number that was written there")
    if not isinstance(gen["model"], str) or not isinstance(gen["sample"], str):
        raise TypeError("model and sample are texts")
    for name, (low, high) in RANGES.items():
        if not low <= settings[name] <= high:
            raise ValueError(f"{name} {settings[name]!r} is not in {low:g}..{high:g}")

    def of(kind: type) -> dict[str, Any]:
        names = [item.name for item in fields(kind)]
        return {name: settings[name] for name in names if name in settings}

    key = settings.get("key")
    controls = Controls(
        frozenset(settings["programs"]) if "programs" in settings else None,
        tuple(settings["pitches"]) if "pitches" in settings else None,
        None if key is None else read_key(key),
        settings.get("tempo"),
    )
    infill = settings.get("infill")
    return Request(
        gen["seed"],
        run["number"],
        asked=gen["asked"],
        limits=Limits(**of(Limits)) if infill is None else Limits(),
        settings=Settings(**of(Settings)),
        use_grammar=settings["grammar"],
        prompt_bars=run["prompt_bars"],
        only_new=run["only_new"],
        batch=run["batch"],
        meta=gen["meta"],
        task=Task(None if infill is None else tuple(infill), settings.get("keep_tracks", False)),
        controls=controls,
        threads=run["threads"],
        precision=run["precision"],
        stream="bar" in gen,
        draw=settings.get("draw", False),
    )


def make_again(
    run: "Run",
    path: str,
    files: list[str] | None,
    *,
    model: str | None,
    output: str,
    force: bool,
    rejects: str | None,
    strict: bool,
) -> None:
    """Write the record of a sample once more (``toksample --again``).

    path: what `read_again` reads. files: the prompts that were read for it, if there were any.
    model: another folder with the same weights. Raises MidigenError where that cannot be done.
    """
    again = read_again(path)
    paths = run.inputs(files) if again.reads else []
    loaded = _load(again.gen, model)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        asked = resolve(loaded.vocab, again.request.asked)
        samples = Samples(loaded, replace(again.request, asked=asked))
        reader, writer = RecordReader(paths, faulty), RecordWriter(out, flush=True)
        made = samples.from_prompts(reader, faulty) if again.reads else samples.from_nothing()
        for record in run.progress(made):
            if again.is_it(record):
                # As it was: the model may lie elsewhere now, and midigen be a newer one.
                known = {key: again.gen[key] for key in ("model", "run", "version")}
                writer.write(record | {"gen": record["gen"] | known})
                if "part" not in record:
                    break
        if not writer.count:
            prompt = again.gen["prompt"]
            raise MidigenError(f"{path} went on from the record {prompt}, which was not read")
        what = f"{writer.count} record{'s' * (writer.count != 1)}, seed {again.request.seed}"
        run.finish(writer.count, what, faulty)


def _load(gen: Mapping[str, Any], model: str | None) -> Loaded:
    """Return the model that a sample was made by."""
    there = model is None and Path(gen["model"]).is_dir()
    loaded = load(find(gen["model"] if there else model), pick(gen["run"]["device"]))
    if loaded.weights_hash != gen["weights"]:
        raise MidigenError(
            f"{loaded.path} has other weights than {gen['model']} had: {loaded.weights_hash}, not"
            f" {gen['weights']}; -m names the folder"
        )
    return loaded
