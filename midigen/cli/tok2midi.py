"""tok2midi: records back to MIDI files."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from midigen.cli._edge import (
    NAME_FIELDS,
    Command,
    Example,
    Force,
    Inputs,
    Option,
    RejectsFile,
    Run,
    Strict,
    TokenizerOption,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midigen.decoding import Tokenizers

NAMES = f"""\
Without -o the MIDI file goes to stdout, and there must be exactly one piece; the same holds for -o
with a plain name. A name with fields in braces gives every piece a file of its own:
{NAME_FIELDS}"""

REPAIRS = """\
Any ids decode. What the tokenizer's grammar does not know (a pitch without a duration, a position
outside its bar) is repaired, and the summary counts the repairs by kind."""

PARTS = """\
Of a tokenizer that gives one sequence a track, consecutive records of one piece are joined."""


def tok2midi(
    run: Run,
    files: Inputs = None,
    output: Annotated[
        str,
        Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write here; with fields like {id} and {n} a file for every piece.",
        ),
    ] = "-",
    tpq: Annotated[
        int, Option("--tpq", metavar="N", min=1, max=32767, help="Ticks a quarter.")
    ] = 480,
    play: Annotated[
        str | None,
        Option("--play", metavar="PORT", help="Play at a MIDI port instead; default: the first."),
    ] = None,
    tokenizer: TokenizerOption = None,
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Turn records back into MIDI files, format 1.

    Each record is decoded by the tokenizer that it names; its vocabulary must be the one that wrote
    it. A record that cannot be decoded is counted, and listed with --rejects; the others go on.
    """
    from midigen.decoding import Tally, Tokenizers, decode_stream
    from midigen.errors import UsageError
    from midigen.jsonl import RecordReader
    from midigen.midi import midi_bytes
    from midigen.outfiles import sink_for

    if play is not None:
        if output != "-":
            raise UsageError("--play and -o exclude each other")
        _play(run, play, run.inputs(files), Tokenizers(tokenizer), rejects, strict=strict)
        return
    if output == "-":
        run.refuse_terminal("a MIDI file")
    sink = sink_for(output, partial(run.output, force=force), force=force)
    tokenizers = Tokenizers(tokenizer)
    paths = run.inputs(files)
    tally = Tally()
    with run.rejects(rejects, strict) as faulty:
        reader = RecordReader(paths, faulty)
        made = decode_stream(reader, tokenizers, faulty, run.message)
        for piece, decoded in run.progress(made, unit="file"):
            sink.put(piece, midi_bytes(decoded.value, tpq, piece.title, piece.text))
            tally.add(decoded)
        sink.close()
    run.finish(tally.pieces, tally.summary(), faulty)


def _play(
    run: Run,
    port: str,
    paths: list[str],
    tokenizers: "Tokenizers",
    rejects: str | None,
    *,
    strict: bool,
) -> None:
    """Play what is read, as it comes."""
    import numpy as np

    from midigen.decoding import Tally, decode_stream
    from midigen.jsonl import RecordReader
    from midigen.playing import Player, open_port

    tally = Tally()
    with run.rejects(rejects, strict) as faulty, open_port(port) as send:
        reader = RecordReader(paths, faulty)

        def pieces() -> "Iterator[tuple[Any, int]]":
            for piece, decoded in decode_stream(reader, tokenizers, faulty, run.message):
                tally.add(decoded)
                record = piece.first
                starts = tokenizers.of(record["tok"]).bar_starts(np.array(record["ids"]))
                yield decoded.value, len(starts)

        player = Player(send)
        player.play(pieces())
        run.message(player.timing.summary())
    run.finish(tally.pieces, tally.summary(), faulty)


PLAYING = """\
--play PORT sends the pieces to a MIDI port, one after the other, in time; bars of toksample
--stream follow each other without a gap. Ports are mido's: python-rtmidi must be installed, or
MIDO_BACKEND name something else. What is read is a few bars ahead of what sounds. At the end it
says how late messages were, how long the first sound took, and how often it had to wait. Ctrl-C
ends all notes."""


main = Command(
    tok2midi,
    examples=(
        Example("there and back", "midi2tok song.mid | tok2midi > again.mid"),
        Example(
            "a file for every record, whatever its source was called",
            "tok2midi tokens.jsonl -o 'midi/{id}-{n}.mid'",
        ),
        Example("play a model's music", "toksample --bars 32 | tok2midi --play default"),
        Example(
            "samples, named by genre and number, on a coarser grid",
            "toksample --genre folk -n 3 | tok2midi --tpq 96 -o 'samples/{genre}-{n:02}.mid'",
        ),
    ),
    sections={"FILE NAMES": NAMES, "REPAIRS": REPAIRS, "PARTS": PARTS, "PLAYING": PLAYING},
    see_also=("midi2tok", "toksample", "midigen-record"),
)
