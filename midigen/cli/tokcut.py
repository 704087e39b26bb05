"""tokcut: bars, tracks and programs of records, transposed and merged."""

from typing import Annotated

from midigen.cli._edge import (
    Command,
    Example,
    Force,
    Inputs,
    Option,
    Output,
    RejectsFile,
    Run,
    Strict,
    TokenizerOption,
)

CUTS = """\
Each piece is decoded, cut and encoded anew by its own tokenizer, so it works with every tokenizer
that decodes. Bars are counted in the decoded score; 4/4 holds until a time signature says
otherwise. A note belongs to the bar in which it begins, and ends with the last bar at the latest.
The tempo, time and key signature that are in force come along; so do controls, bends and pedals
where the vocabulary has them. What is asked is done in this order: tracks and programs, key,
merging, bars.

--tracks counts the tracks that have notes, in the order of the decoded score; for a vocabulary
with programs that is a track a program, in the order of their first notes.

--merge program makes one track of all that have the same program; --merge all makes one of all
tracks, with the program of the first, but for drums, which stay apart. Of notes that begin
together at one pitch the longest stays."""

KEYS = """\
--transpose-to C moves major pieces to C major and minor ones to A minor, by at most six semitones;
another key likewise. An octave is added or taken away where notes would leave the vocabulary's
pitches; where that does not help the piece is a reject (pitch). Drums stay. The key of a piece is
meta.key, which moves along; without it, it is found by the method of Krumhansl and Schmuckler: how
long each pitch class sounds, drums left out, is correlated with the profiles that Krumhansl and
Kessler (1982) measured for the 24 keys. A piece that no key fits better than another is a reject
(key)."""

RECORDS = """\
id, group, src, md5, meta, aug and keys that midigen does not know stay: a cut stays on its piece's
side of every split. n is measured anew, on the cut score. The key cut says what was done:
{"bars": [9, 16], "tracks": [1, 3], "programs": [-1, 0], "transpose": -3, "key": "Eb", "merge":
"all"}, key being that before the transposition, and of what had been cut before. Several --bars
give several records of one id."""


def tokcut(
    run: Run,
    files: Inputs = None,
    bars: Annotated[
        list[str] | None,
        Option(
            metavar="A:B",
            help="Bars A to B, counted from 1, both included; A: to the end, :B from the start."
            " Given twice: a record for each.",
        ),
    ] = None,
    tracks: Annotated[
        str | None, Option(metavar="LIST", help="Only these tracks, counted from 1: 1,3-4.")
    ] = None,
    program: Annotated[
        str | None,
        Option(
            metavar="LIST",
            help="Only tracks of these programs: numbers 0 to 127, ranges, drums, names of programs"
            " or families: 0,24-31,drums.",
        ),
    ] = None,
    transpose_to: Annotated[
        str | None,
        Option(metavar="KEY", help="Move to this major key, or to its relative minor; see KEYS."),
    ] = None,
    merge: Annotated[
        str | None,
        Option(metavar="WAY", help="Merge tracks: program (those of one) or all (but drums)."),
    ] = None,
    tokenizer: TokenizerOption = None,
    jobs: Annotated[
        int, Option("--jobs", "-j", metavar="N", min=1, help="Number of worker processes.")
    ] = 1,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Cut records: some bars, some tracks, in one key, tracks merged.

    What is left of a piece is encoded by the tokenizer that it had. A piece of which nothing is
    left is a reject.
    """
    from midigen import cutting
    from midigen.decoding import Tokenizers
    from midigen.rewriting import Rewriter, rewrite

    cut = cutting.Cut(
        bars=cutting.read_bars(bars or ()),
        tracks=cutting.read_tracks(tracks) if tracks is not None else frozenset(),
        programs=cutting.read_programs(program) if program is not None else frozenset(),
        key=cutting.read_target(transpose_to) if transpose_to is not None else None,
        merge=cutting.read_merge(merge) if merge is not None else None,
    )
    rewrite(
        run,
        files,
        Rewriter(cut, Tokenizers(tokenizer)),
        jobs=jobs,
        output=output,
        force=force,
        rejects=rejects,
        strict=strict,
    )


main = Command(
    tokcut,
    examples=(
        Example("bars 9 to 16 of every piece", "tokcut --bars 9:16 tokens.jsonl > middle.jsonl"),
        Example(
            "the first eight bars and the next eight, the piano alone, in C major or A minor",
            "tokcut --bars :8 --bars 9:16 --program piano --transpose-to C tokens.jsonl",
        ),
        Example(
            "an arrangement for one instrument, without drums",
            "tokcut --program 0-127 --merge all tokens.jsonl | tok2midi -o 'solo/{id}-{n}.mid'",
        ),
    ),
    sections={"CUTS": CUTS, "KEYS": KEYS, "RECORDS": RECORDS},
    see_also=("tokfilter", "tokaug", "tok2tok", "midigen-record", "midigen-tokenizers"),
)
