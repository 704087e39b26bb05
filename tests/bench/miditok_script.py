"""What one writes with MidiTok alone: the files named on stdin, each to a JSON line of its ids."""

import sys
from pathlib import Path

import orjson
from miditok import REMI, TokenizerConfig
from symusic import Score

SIGNATURES = {2: [1, 2, 3, 4], 4: [*range(1, 10)], 8: [*range(1, 13), 15], 16: [3, 4, 6, 7, 9, 12]}


def main() -> None:
    tokenizer = REMI(
        TokenizerConfig(
            use_programs=True,
            use_tempos=True,
            use_time_signatures=True,
            one_token_stream_for_programs=True,
            time_signature_range=SIGNATURES,
        )
    )
    for name in sys.stdin.read().splitlines():
        ids = tokenizer.encode(Score(Path(name))).ids
        sys.stdout.buffer.write(orjson.dumps({"src": name, "ids": ids}) + b"\n")


if __name__ == "__main__":
    main()
