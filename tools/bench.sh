#!/bin/bash
# Run every benchmark (build/bin/bench_*, bench/*.py); bench/RESULTS.tsv gets name, value, unit, goal, ok|short|-.
# T=<text> runs only the benchmarks whose name contains it, and then leaves the collection alone.
set -euo pipefail

results=bench/RESULTS.tsv
[ -z "${T:-}" ] || results=/dev/null
mkdir -p bench build
collected=$(mktemp build/bench.XXXXXX)
trap 'rm -f "$collected"' EXIT

printf 'name\tvalue\tunit\tgoal\tverdict\n' > "$collected"
failed=0
for program in build/bin/bench_*"${T:-}"* bench/*"${T:-}"*.py; do
    [ -x "$program" ] || continue
    echo "---- $(basename "$program")" >&2
    # Lines without four tabs are remarks for the reader of the terminal.
    if ! timeout "${BENCH_SECONDS:-600}" "$program" | tee -a /dev/stderr |
        awk -F '\t' 'NF == 5' >> "$collected"; then
        echo "$program failed" >&2
        failed=1
    fi
done
cat "$collected" > "$results"
exit "$failed"
