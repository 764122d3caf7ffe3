#!/usr/bin/env bash
# What `make test` runs: the release build with every test, then the sanitizer builds.
# SANITIZERS="asan tsan" (default) or "" to leave them out.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
sanitizers=${SANITIZERS-"asan tsan"}
export SLUICE_PYTHON=$PWD/build/venv/bin/python

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "release build"
cmake --preset release > /dev/null
cmake --build build/release -j "$jobs" -- --quiet
step "release tests"
ctest --test-dir build/release --output-on-failure -j "$jobs"

for sanitizer in $sanitizers; do
  step "$sanitizer build"
  cmake --preset "$sanitizer" > /dev/null
  # TSan looks at the parts with threads; ASan and UBSan at everything.
  if [ "$sanitizer" = tsan ]; then
    cmake --build "build/$sanitizer" -j "$jobs" --target base_tests engine_tests local_tests server_tests -- --quiet
    step "$sanitizer tests"
    ctest --test-dir "build/$sanitizer" --output-on-failure -j "$jobs" -R '^(base|engine|local|server)$'
  else
    cmake --build "build/$sanitizer" -j "$jobs" -- --quiet
    step "$sanitizer tests"
    ctest --test-dir "build/$sanitizer" --output-on-failure -j "$jobs" -E '^(layers|client_.*)$'
  fi
done
step "done"
