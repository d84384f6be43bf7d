#!/bin/bash
# The demo: run by `make demo` inside the sandbox, whose folder is in
# MRELEASE_SANDBOX. It releases the example app, releases it again from an empty
# build state, and verifies the record.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/bin:$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
config=(--config examples/hello-python/mrelease.yaml --config "$MRELEASE_SANDBOX/mrelease.yaml")
# A fixed time, so that the demo also runs in a source archive without git.
release=(mrelease release "${config[@]}" --version 1.0.0 --source-date-epoch 1700000000)

title() { printf '\n== %s\n$ mrelease %s\n' "$1" "$2" >&2; }
started=$SECONDS

rm -rf dist
title "1. Release the app" "release --version 1.0.0"
MRELEASE_STATE="$work/first" "${release[@]}"
cp dist/record.json "$work/first.json"

title "2. Release it again, from an empty build state" "release --version 1.0.0"
MRELEASE_STATE="$work/second" "${release[@]}"
cmp "$work/first.json" dist/record.json
echo "both runs wrote the same record" >&2

title "3. Verify the record" "verify dist/record.json"
MRELEASE_STATE="$work/second" mrelease verify "${config[@]}" dist/record.json

printf '\ndone in %d s; the record is dist/record.json\n' "$((SECONDS - started))" >&2
