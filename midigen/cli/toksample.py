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

CONDITIONS = """\
--genre, --artist, --era or --year and --condition KEY=VALUE are told to the model before the piece;
midigen doctor -m MODEL lists what it knows. Names match without case, accents, spaces or
underscores. For each sample that has no prompt, a model that knows the condition instruments is
told some, too: those of a training piece of that genre (or whatever is asked), drawn;
meta.instruments says which. --condition instruments=piano asks for others. With --program, or
--only-asked, none are drawn, and the first notes decide.

--guidance X writes X times as far from what nobody asked for. What fewer than 10 training pieces
had is asked for with --guidance 3, fewer than 20 with 2, fewer than 100 with 1.5, which takes twice
the time; all else with 1."""

PROMPTS = """\
With --continue or --only-new, or if files are named, the records that are read are prompts. A
prompt is whole bars: what is new begins with a bar, and an event that is cut off at the prompt's
end is left out. Conditions that are not asked for come from the prompt's meta. From a prompt that
is longer than the model's window its last bars are read, behind the conditions and the tempo, time
signature and program in force.

Of text the whole prompt goes on, and its last words are read: printf 'Once upon' | text2tok."""

FILLS = """\
A model that was trained with --infill-rate fills in. --infill 9:12 writes bars 9 to 12 of every
piece that is read anew, as many, between what is before and behind them: the ids of all other bars
stay what they are. --keep-tracks writes new tracks beside those of every piece, bar by bar, by
programs that it does not have; --program says which may come. tokcut --tracks or --program chooses
what is kept. --only-new gives what was written alone. Lengths do not go with either."""

CONTROLS = """\
--program, --pitch-range, --key and --tempo let through only the ids that fit; they are exact, and
the tokenizer must have tokens for what is asked. Pitches and keys do not count for drums, where the
vocabulary tells them apart. --key allows the notes of the major or minor scale, with its leading
note. The nearest tempo that the vocabulary has is said before the first note and kept; it does not
go with --infill and --keep-tracks, whose pieces have theirs. --density asks for notes a second of a
model that was trained with --condition density (or genre,density). --repetition-penalty X divides
the logits of the notes that the model has in its window (Keskar et al. 2019)."""

GUARDS = """\
A model that has begun to repeat itself would go on for ever. Under the grammar no note is written
twice at one onset, and at most 16 notes stand at one; where there are bars, no more than four in a
row are empty, and where tokens begin them, no more than eight in a row the same. (Tokenizers of
whole events have none of these: events; of miditok CPWord, Octuple and MuMIDI.) No sample that the
model may end is without a note, and where none has come for long, one must. --no-grammar takes all
this away."""

STREAMING = """\
--stream gives every new bar as a record of its own as soon as it is whole, with the tempo, time
signature and program in force; gen.bar counts them. tok2midi --play sounds them in time, while the
next ones are written; tee keeps them. Without a length the piece goes on until the pipe is closed,
or Ctrl-C. The tokenizer must have a token that begins a bar."""

AGAIN_WITH = frozenset(
    ("again", "files", "model", "output", "force", "rejects", "strict", "quiet", "traceback")
)

AGAIN = """\
What made a sample stands in its record under gen, and tok2midi writes it into the MIDI file as a
text event, where midi2tok finds it. --again FILE makes that sample once more: the same bytes on the
same kind of machine. Where it went on from a prompt, the same prompts must be read. -m names the
model if it lies elsewhere now."""

PRECISION = """\
The default model reads its weights once for every token. --precision bf16 makes them half as large,
int8 a quarter, and both keep keys and values in bytes: with 34 million weights twice and four times
as fast for one sample, and at no cost in the loss of the model that it was measured on. Other
models sample in fp32. int8 is for the CPU. midigen doctor says whether there is a compiled step;
without one all is slower, and int8 also rounds what it multiplies to 8 bits."""

SEEDS = """\
What a sample becomes depends on the weights, the options, the seed, the prompt's id and the
sample's number, and not on how many are made. On another kind of machine, or without the compiled
step, the sums of the same model round differently, and a sample can take another turn."""


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
    ] = 1.0,
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
    ] = 0.99,
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
        float | None,
        Option(
            metavar="X",
            min=0,
            max=20,
            help="How much the conditions count: 0 not, 1 as learned (1; 1.5 to 3 for rare ones).",
        ),
    ] = None,
    repetition: Annotated[
        float,
        Option(
            "--repetition-penalty",
            metavar="X",
            min=0.5,
            max=5,
            help="Above 1, notes that were read lately become less likely.",
        ),
    ] = 1.0,
    seed: Annotated[
        int | None,
        Option("--seed", metavar="INT", help="Seed; without it a fresh one, written into gen."),
    ] = None,
    stream: Annotated[
        bool, Option("--stream", help="Give each new bar at once; without a length go on for ever.")
    ] = False,
    again: Annotated[
        str | None,
        Option(metavar="FILE", help="Make the sample of this MIDI file, or record, once more."),
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
    infill: Annotated[
        str | None,
        Option("--infill", metavar="A:B", help="Read pieces; write their bars A to B anew."),
    ] = None,
    keep_tracks: Annotated[
        bool, Option("--keep-tracks", help="Read pieces; write new tracks beside theirs.")
    ] = False,
    program: Annotated[
        str | None,
        Option("--program", metavar="LIST", help="Only these programs: 0, 24-31, drums, bass."),
    ] = None,
    pitch_range: Annotated[
        str | None,
        Option("--pitch-range", metavar="LOW:HIGH", help="Only these pitches: C3:C6 or 48:84."),
    ] = None,
    key: Annotated[
        str | None, Option("--key", metavar="KEY", help="Only notes of this key: Eb, F#m.")
    ] = None,
    tempo: Annotated[
        float | None, Option("--tempo", metavar="BPM", help="At this tempo, throughout.")
    ] = None,
    density: Annotated[
        float | None,
        Option("--density", metavar="X", min=0, help="Notes a second (a condition of the model)."),
    ] = None,
    only_asked: Annotated[
        bool, Option("--only-asked", help="Draw no instruments that go with what is asked.")
    ] = False,
    no_grammar: Annotated[
        bool, Option("--no-grammar", help="Also allow ids that decoding has to repair.")
    ] = False,
    batch: Annotated[
        int | None,
        Option("--batch", metavar="N", min=1, help="Samples written side by side (cpu 8, GPU 64)."),
    ] = None,
    precision: Annotated[
        str,
        Option(metavar="NAME", help="Weights in fp32 (auto), bf16 or int8."),
    ] = "auto",
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

    from midigen.asked import era_near, read_conditions, resolve, usual_guidance
    from midigen.checkpoints import find
    from midigen.conditions import era_of
    from midigen.controls import Controls, read_control_key, read_pitch_range, read_tempo
    from midigen.cutting import read_bars, read_programs
    from midigen.devices import pick
    from midigen.errors import UsageError
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.modelfolder import load, read_vocab
    from midigen.plan import Limits
    from midigen.prompts import Task
    from midigen.sampled import Request, Samples
    from midigen.sampler import Settings

    if again is not None:
        from midigen.again import make_again

        other = [option for name, option in run.given().items() if name not in AGAIN_WITH]
        if other:
            raise UsageError(f"--again makes a sample as it was made: not with {', '.join(other)}")
        make_again(
            run,
            again,
            files,
            model=model,
            output=output,
            force=force,
            rejects=rejects,
            strict=strict,
        )
        return
    numbers = (temperature, top_p, min_p, repetition, seconds or 0.0, tempo or 0.0)
    for value in (*numbers, density or 0.0, guidance or 0.0):
        if not math.isfinite(value):
            raise UsageError(f"{value} is not a number to sample with")
    if continues and only_new:
        raise UsageError("--continue and --only-new exclude each other")
    if era is not None and year is not None:
        raise UsageError("--era and --year exclude each other")
    task = Task(read_bars([infill], "--infill")[0] if infill is not None else None, keep_tracks)
    if task.fills:
        given = {"--bars": bars, "--tokens": tokens, "--seconds": seconds}
        given |= {"--prompt-bars": prompt_bars, "--continue": continues or None}
        given |= {"--stream": stream or None, "--tempo": tempo}
        given |= {"--keep-tracks": (infill is not None and keep_tracks) or None}
        chosen = "--infill" if infill is not None else "--keep-tracks"
        for name, excluded in given.items():
            if excluded is not None:
                raise UsageError(f"{chosen} and {name} exclude each other")
    reads = files or continues or only_new or prompt_bars or task.fills
    paths = run.inputs(files) if reads else None
    folder = find(model)
    vocab = read_vocab(folder)
    if year is not None:
        era = era_near(vocab, year)
        if era != era_of(year):
            run.message(f"the model knows no {era_of(year)}; asked are the {era}, the nearest")
    names = {"genre": genre or (), "artist": artist or (), "era": [era] if era else ()}
    names |= {"density": [f"{density:g}"]} if density is not None else {}
    names |= read_conditions(condition or (), names)
    controls = Controls(
        None if program is None else read_programs(program),
        None if pitch_range is None else read_pitch_range(pitch_range),
        None if key is None else read_control_key(key),
        None if tempo is None else read_tempo(tempo),
    )
    asked = resolve(vocab, names)
    guidance = usual_guidance(vocab, asked) if guidance is None else guidance
    limits = Limits(bars, tokens, seconds)
    if stream and limits.is_open and not task.fills:
        limits = Limits(endless=True)
    request = Request(
        secrets.randbelow(1 << 32) if seed is None else seed,
        number,
        asked=asked,
        limits=limits,
        precision=precision,
        stream=stream,
        settings=Settings(temperature, top_k, top_p, min_p, guidance, repetition),
        use_grammar=not no_grammar,
        prompt_bars=prompt_bars,
        only_new=only_new,
        batch=batch,
        meta={} if year is None else {"year": year},
        task=task,
        controls=controls,
        draw=not only_asked,
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
            "bars 5 and 6 of a song, three other ways",
            "midi2tok song.mid | toksample -m my.model --infill 5:6 -n 3 | tok2midi -o '{n}.mid'",
        ),
        Example(
            "a bass for it",
            "midi2tok song.mid | toksample -m my.model --keep-tracks | tok2midi > b.mid",
        ),
        Example(
            "music without an end, at the first MIDI port",
            "toksample --genre folk --stream | tok2midi --play default",
        ),
        Example(
            "how a song could go on behind its first four bars",
            "midi2tok song.mid | toksample --continue --prompt-bars 4 --bars 8 | tok2midi > on.mid",
        ),
    ),
    sections={
        "CONDITIONS": CONDITIONS,
        "LENGTH": LENGTHS,
        "PROMPTS": PROMPTS,
        "FILLING IN": FILLS,
        "CONTROLS": CONTROLS,
        "GUARDS": GUARDS,
        "SEEDS": SEEDS,
        "PRECISION": PRECISION,
        "STREAMING": STREAMING,
        "AGAIN": AGAIN,
    },
    see_also=("toktrain", "tok2midi", "tokeval", "midigen-models"),
)
