"""Render a MIDI file as a sound file, without a sound font: ``listen.py IN.mid OUT.wav``.

Every note is a decaying sum of five harmonics; drums are left out. Mono, 16 bits, 16 kHz.
"""

import argparse
import wave

import numpy as np
import pretty_midi

RATE = 16000
DECAY = 3.0
"""Of a note's loudness, in 1 / s."""
HARMONICS = (1.0, 0.5, 0.25, 0.12, 0.06)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="MIDI file")
    parser.add_argument("target", help="WAV file")
    options = parser.parse_args()
    midi = pretty_midi.PrettyMIDI(options.source)
    sound = np.zeros(int((midi.get_end_time() + 1.0) * RATE))
    for instrument in midi.instruments:
        for note in [] if instrument.is_drum else instrument.notes:
            start = int(note.start * RATE)
            t = (
                np.arange(min(len(sound) - start, int((note.end - note.start + 0.15) * RATE)))
                / RATE
            )
            pitch = pretty_midi.note_number_to_hz(note.pitch)
            tone = sum(a * np.sin(2 * np.pi * k * pitch * t) for k, a in enumerate(HARMONICS, 1))
            release = np.clip((note.end - note.start + 0.15 - t) / 0.15, 0.0, 1.0)
            attack = np.clip(t / 0.005, 0.0, 1.0)
            sound[start : start + len(t)] += (
                note.velocity * tone * np.exp(-DECAY * t) * release * attack
            )
    sound *= 0.9 / max(1e-9, np.abs(sound).max())
    with wave.open(options.target, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((sound * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
