"""Labelers, which know more about a piece than its notes say.

path:PATTERN    names of folders and files
csv:, jsonl:, parquet:FILE  a table with a row for each file, found by MD5, id, path or file name
lmd:FILE        the scores of the Lakh MIDI Dataset's match with the Million Song Dataset:
                https://colinraffel.com/projects/lmd/
msd:PATH        the files of the Million Song Dataset:
                http://millionsongdataset.com/pages/field-list/
tagtraum:FILE   genres of its tracks: https://www.tagtraum.com/msd_genre_datasets.html
midi:FOLDER     what the MIDI file itself says

Tables lie in an index on disk (`index`), so memory does not grow with them. `lmd` gives
`msd_track_id`, by which the labelers behind it look a piece up (`tracks`).
"""
