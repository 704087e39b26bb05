"""toklabel: put labels into meta."""

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
)

Texts = list[str] | None


def toklabel(
    run: Run,
    files: Inputs = None,
    labelers: Annotated[
        Texts,
        Option(
            "--from",
            metavar="SPEC",
            help="Labels from path:{genre}/{artist}/*, csv:FILE, msd:FOLDER or another labeler;"
            " several: each fills what those before it left open.",
        ),
    ] = None,
    assign: Annotated[
        Texts,
        Option(
            "--set",
            metavar="KEY=VALUE",
            help="Put this into meta, whatever stands there; a key twice gives a list, no value"
            " takes the key away.",
        ),
    ] = None,
    maps: Annotated[
        Texts,
        Option(
            "--map",
            metavar="KEY=FILE",
            help="Replace the values of a key: FILE is a table of old,new or a JSON object.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        Option(
            metavar="KEYS",
            help="Make the group, which no split tears apart, of these keys: artist,title.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        Option(
            "--overwrite",
            help="What a --from brings replaces what is there, also from one before it.",
        ),
    ] = False,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Join labels to records: genre, artist, title, year, split and any other key of meta.

    A key that a record has stays as it is, unless --overwrite is given. Says at the end how many
    records each labeler knew, which keys stand on what share, and their commonest values.
    """
    from midigen.jsonl import RecordReader, RecordWriter
    from midigen.relabeling import plan

    relabeling = plan(labelers or (), assign or (), maps or (), group, overwrite)
    paths = run.inputs(files)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        reader, writer = RecordReader(paths, faulty), RecordWriter(out)
        for record in run.progress(reader):
            labelled = relabeling.apply(record, reader.where, faulty)
            if labelled is record:
                writer.write_raw(reader.raw)
            else:
                writer.write(labelled)
    for line in relabeling.report():
        run.message(line)
    run.finish(writer.count, f"{writer.count} records", faulty)


main = Command(
    toklabel,
    examples=(
        Example("one genre for all", "toklabel --set genre=folk tokens.jsonl > folk.jsonl"),
        Example(
            "genre and title from the names of folders and files",
            "midi2tok songs | toklabel --from 'path:{genre}/{title}' > labelled.jsonl",
        ),
        Example(
            "a table with a row for each file",
            "toklabel --from csv:labels.csv tokens.jsonl -o labelled.jsonl.zst",
        ),
        Example(
            "artist, year and genres of the Lakh MIDI Dataset by the Million Song Dataset",
            "midi2tok lmd_matched | toklabel --from lmd:match_scores.json --from msd:lmd_matched_h5"
            " --from tagtraum:msd_tagtraum_cd2.cls > labelled.jsonl",
        ),
        Example(
            "keep all versions of a song on one side of the split",
            "toklabel --from csv:labels.csv --group artist,title < tokens.jsonl",
        ),
    ),
    sections={
        "LABELERS": """\
path:PATTERN matches the end of src, one part of the pattern for each folder and one for the file:
path:{genre}/{artist}/* or 'path:{artist} - {title}'. {field} stands for one character or more, *
for any number, ? for one. The file's ending may be left out.

csv:FILE reads a table of comma, tab or semicolon separated values whose first row names the
columns; jsonl:FILE one of JSON objects, one a line; parquet:FILE a Parquet file, for which the
extra midigen[parquet] brings pyarrow. A row belongs to a record by its column md5, id or
msd_track_id, or by file, path, filename, src or name: the row whose path agrees with src in the
longest run of whole names up to the shorter one's start, so a table of relative paths serves
records of absolute ones. All other columns go into meta; an empty cell says nothing.

lmd:FILE[,min=SCORE] reads the match_scores.json of the Lakh MIDI Dataset, {track: {md5: score}}:
the best match of a file gives msd_track_id and msd_match. With a lower score than min there is
msd_match alone, and so nothing from the next two. Without FILE, and for a file without a score, the
track is the one that its folder is named after, as in lmd_matched/A/B/C/TRABC.../x.mid.

msd:PATH[,terms=N] reads the HDF5 files of the Million Song Dataset by msd_track_id, or by a folder
named as a track: artist, title, genre, year, tempo, key, mode, time_signature, loudness (dB) and
the N (10) weightiest terms about the artist. They describe the recording. PATH is a file of one
song or many, a folder in the data set's layout (A/B/C/TRABC....h5, looked up song by song), or any
other folder of such files (looked through once). A file that cannot be read is counted as
broken_h5.

tagtraum:FILE reads genres of the same tracks from a .cls file: track, genre and perhaps more genres
between tabs; lines that begin with # are comments.

midi[:FOLDER] asks the MIDI file itself: track_names, copyright, and the first tempo and key. It is
looked for under FOLDER, or the current one, by as much of the end of src as leads to a file, and as
MD5.mid; it must have the record's MD5, else it is counted as no_file or other_file.

A year becomes a whole number, tempo and bpm numbers; a genre of several is divided by | or ;. Year
0, NaN and empty texts are unknown and stay absent. Where rows fit a record equally well and differ,
it passes without these labels and is counted as ambiguous, with the lines in --rejects. Tables lie
in a temporary file on disk (in TMPDIR), so they may be larger than memory. midigen plugins lists
the labelers that are installed.""",
        "ORDER": """\
First the labelers, each seeing what those before it found, then --map, then --set, then --group.
--map compares without regard to case, accents, spaces, hyphens and underscores; values that it does
not name stay and are counted. --group hashes the values, compared in the same way; records without
one of the keys keep their group.""",
    },
    see_also=("tokfilter", "midi2tok", "midigen-record"),
)
