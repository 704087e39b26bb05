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
            help="Labels from path:{genre}/{artist}/*, csv:FILE or another labeler; several: the"
            " first that knows a key decides it.",
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
        bool, Option("--overwrite", help="What --from brings replaces what is there.")
    ] = False,
    output: Output = "-",
    force: Force = False,
    rejects: RejectsFile = None,
    strict: Strict = False,
) -> None:
    """Join labels to records: genre, artist, title, year, split and any other key of meta.

    A key that a record has stays as it is, unless --overwrite is given. Says at the end how many
    records matched, and which keys stand on which share.
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
columns. A row belongs to a record by its column md5 or id, or by file, path, filename, src or name:
the row whose path agrees with src in the longest run of whole names up to the shorter one's start,
so a table of relative paths serves records of absolute ones. Where several rows fit equally well
and differ, the record passes without labels and is counted as ambiguous. All other columns go into
meta; an empty cell says nothing.

A year becomes a whole number, tempo and bpm numbers; a genre of several is divided by | or ;.
midigen plugins lists the labelers that are installed.""",
        "ORDER": """\
First the labelers, then --map, then --set, then --group. --map compares without regard to case,
accents, spaces, hyphens and underscores; values that it does not name stay and are counted.
--group hashes the values, compared in the same way; records without one of the keys keep their
group.""",
    },
    see_also=("tokfilter", "midi2tok", "midigen-record"),
)
