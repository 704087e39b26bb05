"""midi2tok: MIDI files to records."""

from typing import Annotated

from midigen.cli._edge import (
    Argument,
    Command,
    Example,
    Force,
    ModelOption,
    Option,
    Output,
    RejectsFile,
    Run,
    TokenizerOption,
)

REJECTS = """\
A file is not used, and the others go on, for one of these reasons: io (it cannot be read), empty,
too_big (more than 64 MiB), not_midi (it does not begin with MThd), time_division (its ticks are
parts of a second, or there are none), broken (it contradicts itself), no_notes (none, or none that
the vocabulary has), too_long (more than 100,000 bars), tokenizer (the tokenizer refuses it), lossy
(with --strict: the vocabulary cannot hold it as a whole; without, meta.lossy says what is missing),
timeout, crash (the worker died of it) and error (a bug: please report it). no_files is a folder
without MIDI files."""

PEDAL = """\
With --pedal extend, notes that end while the sustain pedal (controller 64) of their track is down
last until it is released, or until the same pitch begins anew; drums do not. It works with every
tokenizer that reads scores, leaves its vocabulary as it is, and stands in the spec of the records:
remi:pedal=extend. With --pedal token the tokenizer's own tokens say it: those of parameter
pedals=1, for tokenizers that have it. Without either the pedal is dropped, unless the tokenizer's
parameters ask for it."""


def midi2tok(
    run: Run,
    files: Annotated[
        list[str] | None,
        Argument(
            metavar="[FILE|FOLDER]...",
            help="MIDI files, and folders with *.mid, *.midi and *.kar at any depth; - or none:"
            " one MIDI file on stdin.",
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        Option(
            "--files-from", metavar="FILE", help="Read names of files, one a line; -: from stdin."
        ),
    ] = None,
    null: Annotated[
        bool,
        Option("-0", "--null", help="Names end with NUL (find -print0); alone, read from stdin."),
    ] = False,
    tokenizer: TokenizerOption = None,
    model: ModelOption = None,
    pedal: Annotated[
        str,
        Option(
            metavar="WAY",
            help="What becomes of the sustain pedal: drop, extend or token; see PEDAL.",
        ),
    ] = "drop",
    assign: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="Put this into meta; a key twice gives a list."),
    ] = None,
    jobs: Annotated[
        int | None,
        Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="Number of worker processes; without it one for every core, but one for up to 64"
            " files.",
        ),
    ] = None,
    timeout: Annotated[
        float, Option(metavar="S", min=0.1, help="Give up on a file after S seconds.")
    ] = 60.0,
    executor: Annotated[
        str, Option(metavar="SPEC", help="Where the work is done: an executor plugin.")
    ] = "local",
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Stop at the first reject with exit code 1; what the vocabulary cannot hold as a"
            " whole is one.",
        ),
    ] = False,
) -> None:
    """Turn MIDI files into records of tokens, one JSON object a line.

    Without --tokenizer or -m the tokenizer is remi. A file that cannot be used is counted, and
    listed with --rejects; the others go on. Exit code 1 if none could be used.
    """
    from midigen.conversion import convert
    from midigen.sources import Inputs

    convert(
        run,
        Inputs(files or (), files_from, null),
        tokenizer=tokenizer,
        model=model,
        pedal=pedal,
        assignments=assign or (),
        jobs=jobs,
        timeout=timeout,
        executor=executor,
        output=output,
        force=force,
        rejects=rejects,
        strict=strict,
    )


main = Command(
    midi2tok,
    examples=[
        Example("A file.", "midi2tok song.mid > song.jsonl"),
        Example("A folder, with its genre.", "midi2tok --set genre=folk tunes -o folk.jsonl"),
        Example(
            "Whatever find finds; what was not used goes into bad.jsonl.",
            "find tunes -name '*.mid' -print0 | midi2tok -0 -j2 --rejects bad.jsonl > all.jsonl",
        ),
    ],
    sections={"PEDAL": PEDAL, "REJECTS": REJECTS},
    see_also=("tok2midi", "tokfilter", "toktrain", "midigen-record"),
)
