"""Why `midi2tok` does not use a file: a closed list, so that counts of it mean something."""

REASONS = {
    "io": "it cannot be read",
    "empty": "no bytes",
    "too_big": "more than 64 MiB, or more than 2,000,000 events to be mended",
    "not_midi": "nothing in it is MIDI",
    "broken": "it has a header or tracks, but nothing that can be read of them",
    "no_notes": "none, or none that the vocabulary has",
    "too_long": "more ticks than --max-ticks, or more than 100,000 bars",
    "too_many_notes": "more than --max-notes",
    "too_many_tracks": "more than --max-tracks",
    "tokenizer": "the tokenizer refuses it",
    "lossy": "with --strict: the vocabulary cannot hold it as a whole",
    "timeout": "it took longer than --timeout",
    "crash": "the worker died of it",
    "error": "a bug",
    "no_files": "a folder without MIDI files",
}
"""What each reason means, of the file."""
