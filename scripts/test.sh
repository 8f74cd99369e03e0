#!/usr/bin/env bash
# Installs what is missing, builds, runs the tests. Arguments go to ctest: scripts/test.sh -R lang, scripts/test.sh -L deep.
# LACUNA_BUILD_TYPE chooses the build type (Release), CTEST_PARALLEL_LEVEL how many tests run at once (2).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh
scripts/build.sh
unlabelled=(-LE deep)  # minutes to hours: the whole products of the conformance tests
for argument in "$@"; do
  case $argument in -L* | --label*) unlabelled=() ;; esac
done
exec ctest --test-dir build --output-on-failure --no-tests=error --parallel "${CTEST_PARALLEL_LEVEL:-2}" \
  "${unlabelled[@]}" "$@"
