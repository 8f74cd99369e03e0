#!/usr/bin/env bash
# The first thing to run where a GPU is at hand: is it right there, and how fast is it? docs/gpu.md says more.
#
#   scripts/gpu.sh build    makes build-gpu/ here: the tests and the library, linked so that they need the C library
#                           alone (2.36 or newer), and AdaSplash's wheel to compare with
#   scripts/gpu.sh suite    the conformance and the CUDA tests on the GPU, those of entmax among them
#   scripts/gpu.sh entmax   the forward pass of entmax beside AdaSplash's and torch's SDPA, its goals beside its times
#   scripts/gpu.sh micro    the forward pass of softmax beside torch's SDPA; launches, cache hits, compiles
#   scripts/gpu.sh probe    QK passes of the entmax threshold beside AdaSplash's launches
#   scripts/gpu.sh dry      what can be known of all that without a GPU
#
# suite, entmax, micro and probe need build-gpu/, a python3 with torch, and NVRTC; nothing else, and no network. They leave JSON
# in bench/results/, or in $OUT where that is set. Without a GPU they do what can be done without one and exit with 77;
# any other code but 0 is a failure.
#
# Where the GPU is in another machine that is given a copy of this tree and of build-gpu/, and ten minutes a command:
# run `scripts/gpu.sh build` here, then there, each a call of its own and in this order:
#   scripts/gpu.sh suite
#   scripts/gpu.sh entmax
#   scripts/gpu.sh micro
#   scripts/gpu.sh probe
# What time does not suffice for is left out, the less telling first, and named. Less of one:
# `scripts/gpu.sh suite --only entmax`, `scripts/gpu.sh entmax --head-dim 64`, `scripts/gpu.sh micro --quick`.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath -m "${LACUNA_BUILD_DIR:-build}")
bundle=$(realpath -m "${LACUNA_GPU_DIR:-build-gpu}")
export LACUNA_GPU_DIR=$bundle PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
newest_glibc=2.36
most_bytes=$((64 << 20))
wheel="adasplash-0.2.1-py3-none-any.whl"
wheel_sha256=80eb537dcfdf9e5b1b59399e6d25167c1b5fdb4d16e1f1019c64627db87ce05f

say() { printf '%s\n' "-- $*"; }
die() { printf '%s\n' "!! $*" >&2; exit 1; }
complain=die
newer() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]; }

# The one that has torch; else one with numpy, for a dry run.
find_python() {
  local module
  for module in torch numpy; do
    for python in ${LACUNA_PYTHON:-} python3 /usr/bin/python3; do
      ! "$python" -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('$module'))" 2>/dev/null || return 0
    done
  done
  python=none
}

# NVRTC of torch's own environment, where the caller names none.
run_python() {
  [ -n "${python:-}" ] || find_python
  [ "$python" != none ] || { say "no python3 imports torch or numpy"; return 77; }
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    VIRTUAL_ENV=$("$python" -c 'import sys; print(sys.prefix)')
    export VIRTUAL_ENV
  fi
  PYTHONPATH=python:$bundle/python${PYTHONPATH:+:$PYTHONPATH} LACUNA_LIBRARY=${LACUNA_LIBRARY:-$bundle/liblacuna.so} \
    "$python" "$@"
}

# Nothing that a bare machine lacks: no library beside the C library's, no newer version of it.
check_program() {
  local needed newest
  needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -Ev '^(lib(c|m|dl|rt|pthread)\.so\.[0-9]|ld-linux.*)$' || true)
  [ -z "$needed" ] || die "$1 needs $needed"
  newest=$(readelf -VW "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)
  newer "$newest" $newest_glibc &&
    $complain "$1 needs glibc $newest; a machine with a GPU may have no more than $newest_glibc"
  say "${1##*/}: $(stat -c %s "$1") bytes, glibc $newest"
}

# What travels: files that git knows or does not ignore, and the bundle.
check_size() {
  local tree=0 own
  if git rev-parse --git-dir >/dev/null 2>&1; then
    tree=$(git ls-files -z --cached --others --exclude-standard | xargs -0 -r stat -c %s 2>/dev/null | awk '{s += $1} END {print s + 0}')
  fi
  own=$(find "$bundle" -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}')
  say "$bundle: $own bytes; with the tree $((own + tree)) of $most_bytes"
  [ $((own + tree)) -le $most_bytes ] || die "that is more than travels"
}

# By its digest: what is compared with is the same everywhere. Kept unpacked, for Triton wants the sources of kernels.
fetch_adasplash() {
  local folder=$bundle/wheel
  [ ! -d "$bundle/python/adasplash" ] || return 0
  mkdir -p "$folder"
  local pip=(python3 -m pip)
  [ ! -x .venv/bin/pip ] || pip=(.venv/bin/pip)
  if ! "${pip[@]}" download -q --disable-pip-version-check --no-deps --only-binary=:all: --retries 1 --timeout 20 \
    -d "$folder" adasplash==0.2.1; then
    [ "${1:-}" = optional ] || die "AdaSplash's wheel cannot be fetched"
    say "AdaSplash's wheel cannot be fetched: the probe would have nothing to compare with"
    return
  fi
  echo "$wheel_sha256  $folder/$wheel" | sha256sum --check --quiet || die "$wheel is not the one that is known"
  python3 -m zipfile -e "$folder/$wheel" "$bundle/python"
  rm -r "$folder"
}

make_bundle() {
  local file
  mkdir -p "$bundle"
  for file in cuda_gpu_test conformance_entmax_test conformance_entmax_kept_test conformance_test liblacuna.so; do
    [ -e "$build/gpu/$file" ] || die "$build/gpu/$file is not built: cmake --build $build --target gpu_bundle"
    cp "$build/gpu/$file" "$bundle/$file"
    check_program "$bundle/$file"
  done
  git describe --always --dirty --abbrev=12 >"$bundle/COMMIT" 2>/dev/null || echo unknown >"$bundle/COMMIT"
}

# build_bundle TARGET [optional]
build_bundle() {
  scripts/install.sh
  scripts/build.sh "$1"
  fetch_adasplash "${2:-}"
}

# Of the steps that follow: 77 is a dry run that found nothing wrong.
dry_step() {
  local code=0
  say "$1"
  shift
  run_python "$@" || code=$?
  [ $code = 77 ] || die "the dry run of $1 ends with $code"
}

dry() {
  local here own
  own=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
  ! newer "$own" $newest_glibc || complain=say  # what is linked here cannot be older; `build` still refuses it
  make_bundle
  check_size
  here=$(mktemp -d)
  trap 'rm -rf "$here"' EXIT
  export LACUNA_CACHE_DIR=$here LACUNA_LLVM=${LACUNA_LLVM:-$build/liblacuna_llvm.so}
  dry_step suite bench/gpu/suite.py "$bundle"
  dry_step probe bench/gpu/probe.py
  [ -e "$LACUNA_LLVM" ] || { say "no dry run of micro and entmax: $LACUNA_LLVM is not built"; exit 77; }
  dry_step micro bench/gpu/micro.py
  dry_step entmax bench/gpu/entmax.py
  dry_step "what must be noticed" bench/gpu/notices.py
  dry_step rehearsal bench/gpu/rehearse.py
  exit 77
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
  build)
    build_bundle gpu_bundle
    make_bundle
    check_size ;;
  dry) dry ;;
  suite | entmax | micro | probe)
    code=0
    python3 bench/gpu/driver.py || code=$?
    [ $code != 77 ] || { build_bundle gpu_dry optional && dry; }
    [ $code = 0 ] || die "the driver could not be asked"
    [ -e "$bundle/liblacuna.so" ] || die "$bundle is missing: scripts/gpu.sh build makes it, where a compiler is"
    [ "$verb" != suite ] || set -- "$bundle" "$@"
    run_python "bench/gpu/$verb.py" "$@" ;;
  *)
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"
    exit 2 ;;
esac
