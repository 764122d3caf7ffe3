#!/usr/bin/env bash
# Runs every fuzz target for SECONDS_EACH (default 60) from its corpus; new finds are written to build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
cmake --preset fuzz > /dev/null
cmake --build build/fuzz -j "$(nproc)" -- --quiet
mkdir -p build/fuzz/findings
for target in build/fuzz/src/*_fuzz; do
  name=$(basename "$target")
  [ $# -gt 0 ] && [[ " $* " != *" $name "* ]] && continue
  mkdir -p "build/fuzz/corpus/$name"
  echo "== $name, $seconds s"
  "$target" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" -max_total_time="$seconds" -rss_limit_mb=4096 \
    -timeout=20 -artifact_prefix=build/fuzz/findings/"$name"- -print_final_stats=1 2>&1 | grep -E 'ERROR|SUMMARY|stat::(number|average|peak)|Test unit' || true
done
test -z "$(ls -A build/fuzz/findings)" || { echo "findings in build/fuzz/findings:"; ls build/fuzz/findings; exit 1; }
