#!/usr/bin/env bash
# Called by demo.sh and test.sh: configures build/ and builds the targets that are named, or everything.
set -euo pipefail
cd "$(dirname "$0")/.."
log=build/configure.log
mkdir -p build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE="${LACUNA_BUILD_TYPE:-Release}" >$log 2>&1 || { cat $log >&2; exit 1; }
exec cmake --build build ${1:+--target "$@"}
