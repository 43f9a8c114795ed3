#!/bin/sh
# Builds the release programs and prints the table of whole-tree reads and sets that stands in README.md.
# Words: other numbers of stored parameters, multiples of 100.
set -eu
cd "$(dirname "$0")/.."
[ -f "${CARGO_HOME:-$HOME/.cargo}/env" ] && . "${CARGO_HOME:-$HOME/.cargo}/env"
cargo build --quiet --release --package supervisor --package cwmpd --bins
cargo build --quiet --release --package tests --bin measure_tree
CWMP_BUILT=1 exec "${CARGO_TARGET_DIR:-$PWD/target}/release/measure_tree" "$@"
