#!/usr/bin/env bash
# Trains on real music for some minutes and makes two MIDI files: demo.sh MINUTES [FOLDER].
# `make demo` runs it in the checkout, with the commands on PATH. Everything lands in demo/.
set -euo pipefail

minutes=$1
music=${2:-demo/music}
mkdir -p demo

run() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

if [ -z "${2:-}" ]; then
    run "python tests/demo/export_music21.py $music"
fi
run "midi2tok '$music' | tokaug --shift 6 | toktrain -o demo/model --force --preset tiny --minutes $minutes"
run "toksample --genre pop --bars 16 | tok2midi -o demo/starter.mid --force"
run "toksample -m demo/model --bars 16 | tok2midi -o demo/trained.mid --force"

printf '\n%s\n' \
    "by the starter model, pop:       $PWD/demo/starter.mid" \
    "by the model that was trained:   $PWD/demo/trained.mid"
