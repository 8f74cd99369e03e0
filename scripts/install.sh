#!/usr/bin/env bash
# Sourced or called by demo.sh and test.sh: installs what is missing of the build, on Debian 12 or Ubuntu 24.04, and does
# nothing where all is there. NVRTC is optional: without it, and without a GPU, clang compiles for the host device.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages=(
  g++ cmake ninja-build ccache                                      # the build
  libfmt-dev libxxhash-dev libcli11-dev nlohmann-json3-dev catch2   # the libraries
  llvm-19-dev libclang-19-dev libclang-cpp19 libzstd-dev zlib1g-dev # clang in process; the last two its CMake files want
  python3 python3-venv python3-numpy ca-certificates                # tensors of the demo, the Python test, NVRTC's wheel
)

say() { printf '%s\n' "-- $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    command -v sudo >/dev/null || { say "not root and no sudo: install these first: ${missing[*]}"; exit 1; }
    sudo "$@"
  fi
}

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: expecting the equivalents of ${packages[*]}"
    return
  fi
  missing=()
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  as_root apt-get update >"$log" 2>&1 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; say "apt-get failed; its whole log is $log"; exit 1; }
  rm -f "$log"
}

# The places where runtime/nvrtc looks, the cheap ones first.
find_nvrtc() {
  local place
  for place in "${LACUNA_NVRTC:-}" "$root"/.venv/lib/python3*/site-packages/nvidia/cu13/lib/libnvrtc.so.1[23] \
    "${VIRTUAL_ENV:-/nowhere}"/lib/python3*/site-packages/nvidia/{cu13,cuda_nvrtc}/lib/libnvrtc.so.1[23] \
    "${CONDA_PREFIX:-/nowhere}"/lib/libnvrtc.so.1[23] "${CUDA_HOME:-/nowhere}"/lib64/libnvrtc.so.1[23] \
    "${CUDA_PATH:-/nowhere}"/lib64/libnvrtc.so.1[23] /usr/local/cuda*/lib64/libnvrtc.so.1[23]; do
    [ -e "$place" ] && return 0
  done
  /sbin/ldconfig -p 2>/dev/null | grep -q 'libnvrtc\.so\.1[23] '
}

install_nvrtc() {
  local failed=$root/.venv/nvrtc_failed
  find_nvrtc && return 0
  # An index out of reach is asked again tomorrow, not at every run.
  if [ -n "$(find "$failed" -mtime -1 2>/dev/null)" ]; then
    say "going on without NVRTC, which could not be fetched (rm $failed to try again)"
    return 0
  fi
  say "fetching NVRTC, NVIDIA's run-time compiler, from PyPI into .venv (used by the tests and with a GPU)"
  if python3 -m venv "$root/.venv" && "$root/.venv/bin/pip" install -q --disable-pip-version-check --retries 1 \
    --timeout 20 'nvidia-cuda-nvrtc==13.*'; then
    rm -f "$failed"
  else
    touch "$failed" 2>/dev/null || true
    say "NVRTC could not be fetched; going on without it: clang compiles, and the host device runs, everything here"
  fi
}

# NVIDIA's disassembler, which the static laboratory (bench/laboratory) reads machine code with. One version, so that its
# table changes when kernels do.
install_nvdisasm() {
  local failed=$root/.venv/nvdisasm_failed version=13.5.37
  compgen -G "$root/.venv/lib/python3*/site-packages/nvidia_cuda_nvdisasm-$version.dist-info" >/dev/null && return 0
  [ -n "${LACUNA_NVDISASM:-}" ] && return 0
  [ -z "$(find "$failed" -mtime -1 2>/dev/null)" ] || return 0
  say "fetching nvdisasm from PyPI into .venv (used by one benchmark and its test)"
  if python3 -m venv "$root/.venv" && "$root/.venv/bin/pip" install -q --disable-pip-version-check --retries 1 \
    --timeout 20 "nvidia-cuda-nvdisasm==$version"; then
    rm -f "$failed"
  else
    touch "$failed" 2>/dev/null || true
    say "nvdisasm could not be fetched; going on without it: the static laboratory stays closed"
  fi
}

install_packages
install_nvrtc
install_nvdisasm
