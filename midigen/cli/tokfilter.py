"""tokfilter: pass the records that fit."""

from typing import Annotated

from midigen.cli._edge import (
    Command,
    Example,
    Force,
    Inputs,
    LearnedOption,
    Option,
    Output,
    RejectsFile,
    Run,
    Seed,
    Strict,
)

Names = list[str] | None
Number = int | None

SECTIONS = {
    "EXPRESSIONS": """\
EXPR compares what stands in the record: n.notes, n.bars, n.seconds, n.tracks, meta.genre,
meta["my key"], aug.shift, len(ids), id, src, tok and any other key, with numbers, "texts", true,
false, null and [lists].

Signs, from what binds loosest: or, and, not; == != < <= > >= in, not in; + -; * /; brackets.
Functions: len, lower, fold (a name without case, accents, spaces, hyphens), number (a text as a
number), abs, min, max, starts, ends.

A comparison with something that is not there is false, != as well; x == null asks whether x is
missing. A list fits if any of its values does (!=: if none is equal). Texts and numbers are never
equal. a in b: b is a list that has it, a text that contains it or an object with that key.
Summaries name the keys that no record had.""",
    "DUPLICATES": """\
--dedupe exact keeps, of the pieces with the same group, the first that comes and fits the other
options, with all its parts and augmented copies; a record that repeats one that has passed is
dropped too. Which piece comes first depends on the order of the stream. It takes about 250 bytes
of memory a piece.""",
    "THE BEST": """\
--best N keeps the N records whose number at --by is lowest and writes them, best first, when the
stream has ended; it holds no more than those N. --by names a key as score.loss, what tokscore(1)
adds, n.notes or meta.year; a minus before it, as in --by=-n.notes, keeps the highest. Records
without a number there are never among the best.""",
}


def tokfilter(
    run: Run,
    files: Inputs = None,
    genre: Annotated[
        Names, Option(metavar="NAME", help="This genre; several: any. Case and accents aside.")
    ] = None,
    artist: Annotated[Names, Option(metavar="NAME", help="This artist; several: any.")] = None,
    year: Annotated[
        str | None, Option(metavar="FROM:TO", help="Years 1980:1989, 1980:, :1989 or 1980.")
    ] = None,
    split: Annotated[
        str | None,
        Option(metavar="NAME", help="train, val or test: meta.split, else a hash of the group."),
    ] = None,
    min_notes: Annotated[Number, Option(metavar="N", help="At least N notes.")] = None,
    max_notes: Annotated[Number, Option(metavar="N", help="At most N notes.")] = None,
    min_tokens: Annotated[Number, Option(metavar="N", help="At least N tokens.")] = None,
    max_tokens: Annotated[Number, Option(metavar="N", help="At most N tokens.")] = None,
    min_bars: Annotated[Number, Option(metavar="N", help="At least N bars.")] = None,
    max_bars: Annotated[Number, Option(metavar="N", help="At most N bars.")] = None,
    min_seconds: Annotated[
        float | None, Option(metavar="S", help="At least S seconds long.")
    ] = None,
    max_seconds: Annotated[
        float | None, Option(metavar="S", help="At most S seconds long.")
    ] = None,
    min_tracks: Annotated[Number, Option(metavar="N", help="At least N tracks.")] = None,
    max_tracks: Annotated[Number, Option(metavar="N", help="At most N tracks.")] = None,
    program: Annotated[
        Names,
        Option(
            metavar="PROGRAM",
            help="Uses this program: 0..127, a General MIDI name or family, part of a name (sax),"
            " or drums; several: any.",
        ),
    ] = None,
    drums: Annotated[
        bool | None, Option("--drums/--no-drums", help="Has drums, or has none.")
    ] = None,
    time_signature: Annotated[
        Names, Option(metavar="N/D", help="All its bars have this signature, or one of several.")
    ] = None,
    where: Annotated[
        str | None, Option(metavar="EXPR", help="This condition holds; see EXPRESSIONS.")
    ] = None,
    dedupe: Annotated[
        str | None,
        Option(
            metavar="exact",
            help="Of pieces with the same notes (group) only the first, its parts and copies.",
        ),
    ] = None,
    sample: Annotated[
        float | None,
        Option(
            metavar="SHARE", help="This share of the pieces, with all their copies; see --seed."
        ),
    ] = None,
    limit: Annotated[
        Number, Option(metavar="N", min=1, help="Stop after N records have passed.")
    ] = None,
    best: Annotated[
        Number,
        Option(metavar="N", min=1, help="Of those that pass only the N best by --by, best first."),
    ] = None,
    by: Annotated[
        str, Option(metavar="KEY", help="With --best: lowest here first; highest with -KEY.")
    ] = "score.loss",
    invert: Annotated[
        bool, Option("--invert", help="Pass exactly what the other options would drop.")
    ] = False,
    seed: Seed = 0,
    tokenizer: LearnedOption = None,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Pass the records that fit every option, unchanged.

    A record whose value is not known (no year, no genre) does not fit an option that asks for it.
    What was dropped is counted, and listed with --rejects. Exit code 1 if nothing passed.
    """
    from midigen.best import Best
    from midigen.best import best as best_of
    from midigen.filtering import Filter, Selection, passing
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.tokenizers import learned
    from midigen.where import Where

    learned(tokenizer)
    condition = Where(where) if where is not None else None
    selection = Selection(
        genre=genre or (),
        artist=artist or (),
        year=year,
        split=split,
        sizes={
            "notes": (min_notes, max_notes),
            "tokens": (min_tokens, max_tokens),
            "bars": (min_bars, max_bars),
            "seconds": (min_seconds, max_seconds),
            "tracks": (min_tracks, max_tracks),
        },
        program=program or (),
        drums=drums,
        time_signature=time_signature or (),
        where=condition,
        sample=sample,
        seed=seed,
        dedupe=dedupe,
    )
    chosen = Filter(selection.tests(), inverted=invert)
    kept = Best(best, by) if best is not None else None
    paths = run.inputs(files)
    with (
        run.rejects(rejects, strict) as faulty,
        run.rejects(rejects, strict=False) as dropped,
        run.output(output, force=force) as out,
    ):
        reader, writer = RecordReader(paths, faulty), RecordWriter(out)
        lines = run.progress(passing(reader, chosen, dropped, limit))
        for line in best_of(lines, kept) if kept is not None else lines:
            writer.write_raw(line)
    if reader.count and condition is not None:
        for path in condition.unseen():
            run.message(f"--where: no record has {path}")
    said = f"{writer.count} of {reader.count} records passed"
    if kept is not None and kept.without:
        said += f"; {kept.without} without {by.removeprefix('-')}"
    if dropped.total:
        said += f"; {dropped.summary('dropped')}"
    run.finish(writer.count, said, faulty)


main = Command(
    tokfilter,
    examples=(
        Example(
            "pieces of some length, each once",
            "tokfilter --min-notes 8 --max-bars 400 --dedupe exact tokens.jsonl -o clean.jsonl.zst",
        ),
        Example(
            "one genre, from a folder of MIDI",
            "midi2tok --set genre=folk songs | tokfilter --genre folk > folk.jsonl",
        ),
        Example(
            "training pieces; what was dropped, and why, goes to a file",
            "tokfilter --split train --rejects dropped.jsonl < tokens.jsonl > train.jsonl",
        ),
        Example(
            "all but the dense pieces of a known year",
            "tokfilter --invert --where 'n.notes / n.bars > 40 and meta.year' tokens.jsonl",
        ),
        Example(
            "the four of 64 samples that the model itself finds likeliest",
            "toksample -m pop.model -n 64 --bars 4 | tokscore -m pop.model | tokfilter --best 4",
        ),
        Example("the first ten with a piano", "tokfilter --program piano --limit 10 tokens.jsonl"),
    ),
    sections=SECTIONS,
    see_also=("toklabel", "tokaug", "midigen-record"),
)
