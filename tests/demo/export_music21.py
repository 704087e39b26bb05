"""Writes music out of the music21 package as MIDI files: ``export_music21.py FOLDER``.

Bach's chorales, quartets by Haydn and Mozart, a trio sonata by Corelli, songs by Clara Schumann, a
rag by Joplin and fiddle tunes of Ryan's Mammoth Collection (1883): each composer or collection
becomes a folder. FOLDER gets its name when it is whole; one that is there is left as it is.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# The corpus's folder, how many pieces of it at most (None: all), and the folder to write.
SELECTION = (
    ("bach", 140, "bach"),
    ("haydn/opus1no1", None, "haydn"),
    ("mozart/k155", None, "mozart"),
    ("corelli", None, "corelli"),
    ("schumann_clara", None, "schumann"),
    ("joplin", None, "joplin"),
    ("ryansMammoth", 100, "fiddle"),
)
FORMATS = (".mxl", ".xml", ".abc")


def selection() -> Iterator[tuple[Path, str]]:
    """Yield the path of every chosen piece, by name, and the name of its MIDI file."""
    from music21 import corpus

    paths = sorted(Path(path) for path in corpus.getCorePaths())
    for source, limit, target in SELECTION:
        found = [p for p in paths if f"/{source}/" in p.as_posix() and p.suffix in FORMATS]
        for path in found[:limit]:
            yield path, f"{target}/{path.parent.name}-{path.stem}.mid"


def export(piece: tuple[Path, Path]) -> str:
    """Write one piece as MIDI; return what is wrong with it, or nothing."""
    from music21 import converter
    from music21.repeat import ExpanderException

    path, target = piece
    try:
        score = converter.parse(path)
        try:
            score.write("midi", fp=target)
        except ExpanderException:
            drop_repeats(score)
            score.write("midi", fp=target)
    except Exception as error:
        # music21 reads many formats and raises whatever it meets: the piece is named and left out.
        return f"{path.name}: {type(error).__name__}: {error}"
    return ""


def drop_repeats(score: Any) -> None:
    """Take the repeat signs out of a score: those of some prints contradict each other."""
    from music21.bar import Repeat

    for measure in score.recurse().getElementsByClass("Measure"):
        if isinstance(measure.leftBarline, Repeat):
            measure.leftBarline = None
        if isinstance(measure.rightBarline, Repeat):
            measure.rightBarline = None


def main(folder: Path) -> int:
    """Write all pieces into a folder that takes its name when they are there."""
    if folder.is_dir():
        return 0
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
    pieces = [(path, part / name) for path, name in selection()]
    for _, target in pieces:
        target.parent.mkdir(exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(export, pieces, chunksize=4) if fault]
    for fault in faults:
        print(f"export_music21: {fault}", file=sys.stderr)
    part.rename(folder)
    print(f"export_music21: {len(pieces) - len(faults)} pieces in {folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
