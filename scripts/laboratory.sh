#!/usr/bin/env bash
# Writes bench/results/laboratory.md anew: what is known of the kernels' speed without a GPU. Takes NVRTC and nvdisasm, which
# install.sh fetches, and a minute or two; git diff then says what has become better or worse.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh
scripts/build.sh bench_laboratory
table=bench/results/laboratory.md
build/bench/bench_laboratory table >build/laboratory.md
mv build/laboratory.md $table
git --no-pager diff --stat -- $table
