#!/bin/bash
# The demonstration: the main job on 400,000 events, killed half way, resumed, and proven right.
#
# Needs no Kafka: the events are files, the output is files, the guarantees are the same. Nothing waits by
# the clock: the kill follows a line of the job's own log. What it makes stays below build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

events=400000
users=20000
work=build/demo
job=build/bin/userprofile

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

[ -x "$job" ] || fail "$job is not built: run make"
rm -rf "$work"
mkdir -p "$work"
trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT
started=$SECONDS

say "1. Input: $events events of $users users, with bad lines, duplicates, ids that change hands"
python3 tools/generate_events.py --seed 42 --users "$users" --count "$events" --files 8 --out "$work/in"
du -sh "$work/in"
head -n 3 "$work/in/events-0000.ndjson"
# The judge is slow and knows nothing of the engine; it works beside it.
nice python3 test/oracle/userprofile.py --history "$work/in" --write "$work/expected" &
judge=$!

arguments=(--history "$work/in" --output "$work/out" --checkpoints "$work/checkpoints"
    --checkpoint-interval 200ms --parallelism 2)
say "2. The job: parallelism 2, state in RocksDB, five checkpoints a second"
echo "\$ $job run ${arguments[*]}"
mkfifo "$work/log"
"$job" run "${arguments[@]}" 2> "$work/log" &
running=$!
killed=no
while IFS= read -r line; do
    echo "  $line"
    case $line in
    *"checkpoint: 'userprofile': 2 completed"*)
        kill -9 "$running" && killed=yes
        ;;
    esac
done < "$work/log"
wait "$running" 2> /dev/null && status=0 || status=$?
[ "$killed$status" = yes137 ] || fail "the job ended before its second checkpoint, see above"
echo "  kill -9, with $(cat "$work"/out/profiles-*.ndjson | wc -l) profile records published so far"

say "3. The same command again: it resumes from its newest complete checkpoint"
"$job" run "${arguments[@]}" --metrics-json "$work/metrics.json" 2>&1 | sed 's/^/  /'

say "4. Was anything lost or counted twice? The oracle, a slow script of its own, has computed the result"
wait "$judge" || fail "the oracle failed"
python3 test/oracle/verify.py --expected "$work/expected" --output "$work/out" --metrics "$work/metrics.json"

say "5. Some profiles"
# The last record of a key is its profile; a phone in its ids makes it a more interesting one.
cat "$work"/out/profiles-*.ndjson | grep -a '"phone:' | awk -F '\t' '{ last[$1] = $2 } END {
    for (yid in last) if (length(last[yid]) < 700 && n++ < 3) print last[yid] }'

say "6. Figures"
python3 - "$work/metrics.json" << 'PYTHON'
import json, sys
metrics = json.load(open(sys.argv[1]))
sums = {}
for names in metrics["counters"].values():
    for name, value in names.items():
        sums[name] = sums.get(name, 0) + value
bad = {name.removeprefix("dead_letters."): value for name, value in sums.items() if name.startswith("dead_letters.")}
for name, value in (
        ("events in", f"{metrics['events_in']:,}"),
        ("duplicates dropped", f"{sums['duplicates_dropped']:,}"),
        ("quarantined", f"{sum(bad.values()):,} (" + ", ".join(f"{n} {v}" for n, v in sorted(bad.items())) + ")"),
        ("owner changes", f"{sums['owner_changes']:,}"),
        ("profiles emitted", f"{sums['profiles_emitted']:,}"),
        ("checkpoints since the resume", f"{metrics['checkpoints']['completed']}, "
            f"p99 {metrics['checkpoints']['duration_ms']['p99']} ms"),
        ("CPU since the resume", f"{metrics['cpu_seconds']:.1f} s"),
        ("memory at most", f"{metrics['peak_rss_bytes'] >> 20} MB")):
    print(f"  {name:<30} {value}")
PYTHON
printf '\nAll of it took %d seconds; look around in %s.\n' $((SECONDS - started)) "$work"
