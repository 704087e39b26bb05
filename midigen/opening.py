"""Where a run begins: its folder and settings, its token store, and what is made of them."""

import json
from pathlib import Path

from midigen import checkpointing, modelfolder
from midigen.errors import MidigenError, UsageError
from midigen.initial import Initial, read_initial
from midigen.preparation import Prepared, model_config, prepare
from midigen.protocols import Tokenizer
from midigen.ranks import Ranks
from midigen.request import Request, Teller
from midigen.runfolder import RunFolder, free_name, last_unfinished
from midigen.settings import DEFAULT_MINUTES, Settings
from midigen.spool import check_disk, check_same, clear, is_sealed, spool
from midigen.store import Store
from midigen.tokenizers import tokenizer_of


def prepare_run(request: Request, settings: Settings, folder: RunFolder, ranks: Ranks) -> Prepared:
    """Return what a run needs. The first process reads and writes it, the others find it there."""
    merged = folder.state / "merged"
    if (folder.work / modelfolder.VOCAB).is_file():
        # A run that goes on has a copy of a learned vocabulary.
        modelfolder.read_vocab(folder.work)
    initial = read_initial(request.init) if request.init and not request.resume else None
    if ranks.is_first:
        store = open_store(request, folder.state, initial)
        prepared = prepare(store, settings, merged, initial)
    ranks.wait()
    if not ranks.is_first:
        store = Store(_store_place(request, folder.state))
        prepared = prepare(store, settings, merged, initial)
    return prepared


def open_folder(request: Request, teller: Teller) -> tuple[RunFolder, Settings]:
    if request.out is not None and not request.out.name:
        raise UsageError(f"-o {request.out} names no folder that can be made")
    if request.resume and request.init is not None:
        raise UsageError("--resume goes on with its own weights: no --init-from")
    if not request.resume:
        settings = Settings(**request.asked)
        if settings.lora and request.init is None:
            raise UsageError("--lora tunes a model that is there: --init-from names it")
        if request.init is not None:
            settings = read_initial(request.init).adopt(settings, request.asked)
        settings = settings.chosen(request.shard)
        model_config(settings)
        folder = RunFolder(request.out or free_name())
        folder.begin(request.force)
        if request.out is None:
            teller.warn(f"no -o: the model goes to {folder.out}")
        if "unit" not in request.asked:
            teller.message(
                f"no --steps, --epochs or --minutes: {DEFAULT_MINUTES:g} minutes, less if"
                " validation stops to gain"
            )
        return folder, settings
    folder = RunFolder(request.out or last_unfinished())
    held = folder.held()
    settings = Settings.read(held / folder.settings.name).resumed(request.asked)
    if held != folder.state and "unit" not in request.asked:
        raise UsageError(
            f"{folder.out} is trained to its end, step {checkpointing.read_progress(held).step};"
            " say how far to go on: --steps, --epochs or --minutes"
        )
    folder.reopen()
    return folder, settings


def open_store(request: Request, state: Path, initial: Initial | None = None) -> Store:
    """Return the sealed store: read from the stream, or there already.

    Raises MidigenError for a tokenizer that the recipe, or the weights to start from, do not read.
    """

    def accept(tok: str, tokenizer: Tokenizer) -> None:
        if request.recipe is not None:
            request.recipe.check(tok)
        if initial is not None:
            initial.check(tok, len(tokenizer.vocab))

    place = _store_place(request, state)
    if is_sealed(place):
        store = Store(place)
        accept(store.tok, tokenizer_of(store.tok))
        if request.source is not None:
            check_same(request.source, store)
    elif request.source is None:
        raise MidigenError(f"{place} holds no sealed token store, and no stream was given")
    else:
        clear(place)
        check_disk(request.paths, place)
        try:
            store = spool(request.source, place, accept)
        except BaseException:
            clear(place)
            raise
    if request.store is not None:
        modelfolder.write_json(state / "store.json", {"store": str(place.resolve())})
    return store


def _store_place(request: Request, state: Path) -> Path:
    """Return the folder of the token store; a run that goes on remembers its own."""
    note = state / "store.json"
    if request.store is None and note.is_file():
        return Path(json.loads(note.read_text())["store"])
    return request.store or state / "store"
