"""midi2tok: MIDI files to records."""

from typing import Annotated

from midigen.cli._edge import (
    Assignments,
    Command,
    Example,
    FilesFrom,
    Force,
    Jobs,
    MidiInputs,
    ModelOption,
    Null,
    Option,
    Output,
    RejectsFile,
    Run,
    Timeout,
    TokenizerOption,
)

INGEST = """\
A file that obeys the format is read strictly. One that does not is mended, and meta.ingest of its
records says how. sanitised: only values were out of range; data bytes above 127 become 127, an
unknown format becomes 1, a wrong number of tracks that of the tracks there are, a division of
nothing 480 ticks a quarter, one in parts of a second quarters with the tempo that gives the same
time. salvaged: anything else had to be done; a header found in a RIFF (RMID) or MacBinary wrapper,
behind other bytes, or with damaged letters; tracks found by their name where lengths are wrong; a
track kept up to where it is cut off or makes no sense; a file that was sent as text; notes that
nothing ends, which then last a quarter or until their key is struck again. Files in which a strict
parse finds no notes, or fewer tracks than the header counts, are tried in this way, too. A strict
parse leaves out notes that nothing ends: --check counts them as unread."""

REJECTS = """\
A file is not used, and the others go on, for one of these reasons: io (it cannot be read), empty,
too_big (more than 64 MiB, or more than 2,000,000 events to be mended), not_midi (nothing
in it is MIDI), broken (it has a header or tracks, but nothing that can be read of them), no_notes
(none, or none that the vocabulary has), too_long (more ticks than --max-ticks, or more than 100,000
bars), too_many_notes (--max-notes), too_many_tracks (--max-tracks), tokenizer (the tokenizer
refuses it), lossy (with --strict: the vocabulary cannot hold it as a whole; without, meta.lossy
says what is missing), timeout, crash (the worker died of it) and error (a bug: please report it).
no_files is a folder without MIDI files."""

CHECK = """\
With --check the ids of each file are decoded again and the notes compared with those of the file. A
line holds src, id, notes, lost (notes without one of their pitch within half a quarter), added,
programs (notes that are found, but with another program), onset_mean, onset_max, duration_mean and
duration_max (how far off the notes found are, in quarters), tempo_drift_s (the most that the clocks
of the two are apart where a note begins, in seconds), unread (notes that begin in the file, but not
in what was parsed of it) and repairs (of the decoder, by kind). The summary gives the totals."""

PEDAL = """\
With --pedal extend, notes that end while the sustain pedal (controller 64) of their track is down
last until it is released, or until the same pitch begins anew; drums do not. It works with every
tokenizer that reads scores, leaves its vocabulary as it is, and stands in the spec of the records:
remi:pedal=extend. With --pedal token the tokenizer's own tokens say it: those of parameter
pedals=1, for tokenizers that have it. Without either the pedal is dropped, unless the tokenizer's
parameters ask for it."""


def midi2tok(
    run: Run,
    files: MidiInputs = None,
    files_from: FilesFrom = None,
    null: Null = False,
    tokenizer: TokenizerOption = None,
    model: ModelOption = None,
    pedal: Annotated[
        str,
        Option(
            metavar="WAY",
            help="What becomes of the sustain pedal: drop, extend or token; see PEDAL.",
        ),
    ] = "drop",
    assign: Assignments = None,
    jobs: Jobs = None,
    timeout: Timeout = 60.0,
    max_notes: Annotated[
        int, Option(metavar="N", min=1, help="Reject a file with more notes.")
    ] = 500_000,
    max_ticks: Annotated[
        int, Option(metavar="N", min=1, help="Reject a file that lasts more ticks.")
    ] = 2**31 - 1,
    max_tracks: Annotated[
        int,
        Option(
            metavar="N",
            min=1,
            help="Reject a file with more tracks, each channel and program of a track counted.",
        ),
    ] = 1_000,
    executor: Annotated[
        str, Option(metavar="SPEC", help="Where the work is done: an executor plugin.")
    ] = "local",
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    check: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="Append what is lost on the way to tokens and back, as JSON Lines; see CHECK.",
        ),
    ] = None,
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
    from midigen.ingest import Limits
    from midigen.sources import Inputs

    convert(
        run,
        Inputs(files or (), files_from, null),
        tokenizer=tokenizer,
        model=model,
        pedal=pedal,
        assignments=assign or (),
        limits=Limits(max_notes, max_ticks, max_tracks),
        jobs=jobs,
        timeout=timeout,
        executor=executor,
        output=output,
        force=force,
        rejects=rejects,
        check=check,
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
        Example(
            "What the tokens cannot hold of each file.",
            "midi2tok --check lost.jsonl tunes > all.jsonl",
        ),
    ],
    sections={"INGEST": INGEST, "PEDAL": PEDAL, "REJECTS": REJECTS, "CHECK": CHECK},
    see_also=("tok2midi", "tokfilter", "toktrain", "midigen-record"),
)
