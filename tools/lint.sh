#!/usr/bin/env bash
# Formatting, layers, and the few clang-tidy checks of .clang-tidy. `make fmt` mends the first.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files 'src/*.h' 'src/*.cc' 'tests/*.cc' 'bench/*.cc' | xargs clang-format-19 --dry-run -Werror
echo "format: clean"
python3 tools/check_layers.py .
# Without precompiled headers, and each by itself: a source that leaves out an include is an error here.
cmake --preset release -B build/lint -DSLUICE_PRECOMPILED_HEADERS=OFF -DSLUICE_UNITY=OFF > /dev/null
# Tests, fuzz targets and generated tables are left out.
# LINT_BASE=main make lint: only what changed since that commit.
if [ -n "${LINT_BASE:-}" ]; then
  files=$(git diff --name-only --diff-filter=AM "$LINT_BASE" -- 'src/*.cc')
else
  files=$(git ls-files 'src/*.cc')
fi
printf '%s\n' $files | grep -vE '_(isa|fuzz|test|tables)\.cc$' | xargs -r -P "$(nproc)" -n 4 clang-tidy-19 -p build/lint --quiet 2>/dev/null
echo "clang-tidy: clean"
