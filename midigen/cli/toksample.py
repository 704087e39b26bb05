"""`toksample`: a model makes records, from nothing or from where others leave off."""

from typing import Annotated

from typer import Option

from midigen.cli._edge import (
    Command,
    Device,
    Example,
    Force,
    Inputs,
    ModelOption,
    Output,
    RejectsFile,
    Run,
    Strict,
)

LENGTHS = """\
--bars N gives exactly N bars. --seconds S gives as many whole bars as fit in S seconds, at least
one. --tokens N gives at most N token ids and ends where a piece may end. Without one of these the
model decides when the piece is over, within 32 bars. A prompt does not count.

Text has no bars: there --tokens N gives N bytes of whole characters, and without it the model
decides, within 1,024 bytes."""

PROMPTS = """\
With --continue or --only-new, or if files are named, the records that are read are prompts. A
prompt is whole bars: what is new begins with a bar, and an event that is cut off at the prompt's
end is left out. Conditions that are not asked for come from the prompt's meta. From a prompt that
is longer than the model's window its last bars are read, behind the conditions and the tempo, time
signature and program in force.

Of text the whole prompt goes on, and its last words are read: printf 'Once upon' | text2tok."""

GUARDS = """\
A model that has begun to repeat itself would go on for ever. Under the grammar no note is written
twice at one onset, and at most 16 notes stand at one; where there are bars, no more than four in a
row are empty; and a sample that the model may end, or that has bars, has a note. --no-grammar takes
this away, too. Tokenizers of whole events (events; of miditok CPWord, Octuple and MuMIDI) have no
such guards."""

SEEDS = """\
What a sample becomes depends on the weights, the options, the seed, the prompt's id and the
sample's number, and not on how many are made. On another kind of machine the sums of the same
model round differently, and a sample can take another turn."""


def toksample(
    run: Run,
    files: Inputs = None,
    model: ModelOption = None,
    number: Annotated[
        int, Option("--number", "-n", metavar="N", min=1, help="Samples (of each prompt).")
    ] = 1,
    genre: Annotated[
        list[str] | None, Option("--genre", metavar="NAME", help="In this genre.")
    ] = None,
    artist: Annotated[
        list[str] | None, Option("--artist", metavar="NAME", help="Like this artist.")
    ] = None,
    era: Annotated[
        str | None, Option("--era", metavar="DECADE", help="Of this decade: 1980s.")
    ] = None,
    year: Annotated[
        int | None,
        Option("--year", metavar="YEAR", help="Of this year's decade, or the nearest known."),
    ] = None,
    condition: Annotated[
        list[str] | None,
        Option("--condition", metavar="KEY=VALUE", help="Of another field that the model knows."),
    ] = None,
    bars: Annotated[
        int | None, Option("--bars", metavar="N", min=1, help="Exactly N bars.")
    ] = None,
    tokens: Annotated[
        int | None, Option("--tokens", metavar="N", min=1, help="At most N token ids.")
    ] = None,
    seconds: Annotated[
        float | None,
        Option("--seconds", metavar="S", min=0.1, help="As many bars as fit in S seconds."),
    ] = None,
    temperature: Annotated[
        float,
        Option(
            "--temperature",
            "-T",
            metavar="T",
            min=0,
            max=2,
            help="Higher is more surprising; 0 always takes the likeliest.",
        ),
    ] = 0.9,
    top_k: Annotated[
        int,
        Option(
            "--top-k", "-k", metavar="K", min=0, max=500, help="From the K likeliest; 0: from all."
        ),
    ] = 0,
    top_p: Annotated[
        float,
        Option(
            "--top-p",
            "-p",
            metavar="P",
            min=0.01,
            max=1,
            help="From the likeliest that together have this chance.",
        ),
    ] = 0.9,
    min_p: Annotated[
        float,
        Option(
            "--min-p",
            metavar="P",
            min=0,
            max=1,
            help="From those with P times the chance of the likeliest.",
        ),
    ] = 0.0,
    guidance: Annotated[
        float,
        Option(
            metavar="X",
            min=0,
            max=20,
            help="How much the conditions count: 1 as learned, 2 twice as much, 0 not at all.",
        ),
    ] = 1.0,
    seed: Annotated[
        int | None,
        Option("--seed", metavar="INT", help="Seed; without it a fresh one, written into gen."),
    ] = None,
    continues: Annotated[
        bool, Option("--continue", help="Read prompts; give prompt and continuation.")
    ] = False,
    only_new: Annotated[
        bool, Option("--only-new", help="Read prompts; give the continuation alone.")
    ] = False,
    prompt_bars: Annotated[
        int | None,
        Option("--prompt-bars", metavar="N", min=1, help="Read prompts; use their first N bars."),
    ] = None,
    no_grammar: Annotated[
        bool, Option("--no-grammar", help="Also allow ids that decoding has to repair.")
    ] = False,
    batch: Annotated[
        int | None,
        Option("--batch", metavar="N", min=1, help="Samples written side by side (cpu 8, GPU 64)."),
    ] = None,
    device: Device = "auto",
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Make records with a model: from nothing, in a genre, or from where prompts leave off.

    Without -m the starter model of the installation is used. Every record says in `gen` what made
    it. The grammar of the tokenizer allows only what decodes without a repair.
    """
    import math
    import secrets

    from midigen.asked import era_near, read_conditions, resolve
    from midigen.checkpoints import find
    from midigen.conditions import era_of
    from midigen.devices import pick
    from midigen.errors import UsageError
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.modelfolder import load, read_vocab
    from midigen.plan import Limits
    from midigen.sampled import Request, Samples
    from midigen.sampler import Settings

    for value in (temperature, top_p, min_p, guidance, seconds or 0.0):
        if not math.isfinite(value):
            raise UsageError(f"{value} is not a number to sample with")
    if continues and only_new:
        raise UsageError("--continue and --only-new exclude each other")
    if era is not None and year is not None:
        raise UsageError("--era and --year exclude each other")
    paths = run.inputs(files) if files or continues or only_new or prompt_bars else None
    folder = find(model)
    vocab = read_vocab(folder)
    if year is not None:
        era = era_near(vocab, year)
        if era != era_of(year):
            run.message(f"the model knows no {era_of(year)}; asked are the {era}, the nearest")
    names = {"genre": genre or (), "artist": artist or (), "era": [era] if era else ()}
    names |= read_conditions(condition or (), names)
    request = Request(
        secrets.randbelow(1 << 32) if seed is None else seed,
        number,
        asked=resolve(vocab, names),
        limits=Limits(bars, tokens, seconds),
        settings=Settings(temperature, top_k, top_p, min_p, guidance),
        use_grammar=not no_grammar,
        prompt_bars=prompt_bars,
        only_new=only_new,
        batch=batch,
        meta={} if year is None else {"year": year},
    )
    notes = tokens_made = text_bytes = 0
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        samples = Samples(load(folder, pick(device)), request)
        reader, writer = RecordReader(paths or (), faulty), RecordWriter(out, flush=True)
        made = samples.from_nothing() if paths is None else samples.from_prompts(reader, faulty)
        for record in run.progress(made, total=number if paths is None else None):
            writer.write(record)
            tokens_made += len(record["ids"])
            notes += record["n"].get("notes", 0)
            text_bytes += record["n"].get("bytes", 0)
    made_of = f"{text_bytes} bytes" if text_bytes else f"{notes} notes"
    what = f"{writer.count} records, {tokens_made} tokens, {made_of}, seed {request.seed}"
    run.finish(writer.count, what, faulty)


main = Command(
    toksample,
    examples=(
        Example(
            "eight bars by the starter model, as MIDI", "toksample --bars 8 | tok2midi > a.mid"
        ),
        Example(
            "ten pieces of pop, the same ones every time",
            "toksample --genre pop -n 10 --seed 1 | tok2midi -o 'pop/{n}.mid'",
        ),
        Example(
            "how a song could go on behind its first four bars",
            "midi2tok song.mid | toksample --continue --prompt-bars 4 --bars 8 | tok2midi > on.mid",
        ),
    ),
    sections={"LENGTH": LENGTHS, "PROMPTS": PROMPTS, "GUARDS": GUARDS, "SEEDS": SEEDS},
    see_also=("toktrain", "tok2midi", "tokeval", "midigen-record"),
)
