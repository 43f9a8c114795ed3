#!/bin/sh
# Builds the release programs and prints the table of figures that stands in README.md.
set -eu
cd "$(dirname "$0")/.."
[ -f "${CARGO_HOME:-$HOME/.cargo}/env" ] && . "${CARGO_HOME:-$HOME/.cargo}/env"
cargo build --quiet --release --package supervisor --package cwmpd --bins
cargo build --quiet --release --package tests --bin measure
echo "On $(uname -s) $(uname -r | cut -d. -f1-2) $(uname -m), $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors:"
echo
CWMP_BUILT=1 exec "${CARGO_TARGET_DIR:-$PWD/target}/release/measure"
