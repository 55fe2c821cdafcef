#!/usr/bin/env python3
"""The main job, Kafka to Kafka: sustained events a second, and how long a checkpoint takes.

What   A broker on this machine gets a few million events of up to a million users. Then userprofile reads them
       all with every guarantee on (exactly once, RocksDB, a checkpoint every 10 s) and ends. Rate: events
       read by wall time from the job's start to its end, so start, restore and last publish are in it.
       Broker and job share the machine's cores. Half of --memory is for state: with 8 GB all of it is in
       memory, with 1 GB most users have to be read from RocksDB first.
       Before that half a million events go through, with topics of their own: a broker that has just been started
       makes its own topics with its first transaction, for most of a second, and compiles its code meanwhile.
       Then once more, with output of its own: killed (-9) after six tenths of that time, and started again. Rate: events
       that it has left, by wall time from the second start to its end.
How    ./bench/userprofile.py [--events N] [--users N] [--parallelism P] [--memory SIZE]
       Prints name TAB value TAB unit TAB goal TAB ok|short|-. Without Java: says so, measures nothing.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / "e2e"), str(ROOT / "bench")]
import broker  # noqa: E402
import host_memory  # noqa: E402
import kafka_tools  # noqa: E402

GOAL_RATE = 150_000
GOAL_CHECKPOINT_MS = 1000
WARM_UP_EVENTS = 500_000
KILLED_AT = 0.6  # of the time that all events take; behind it another run may be through, if it is faster


def line(name, value, unit, goal="-", is_ok=None):
    """Without a goal there is no verdict."""
    verdict = "-" if is_ok is None else "ok" if is_ok else "short"
    print(f"{name}\t{value}\t{unit}\t{goal}\t{verdict}", flush=True)


def generate(path, events, users):
    subprocess.run([sys.executable, ROOT / "tools/generate_events.py", "--seed", "7", "--users",
                    str(users), "--skew", "0.5", "--count", str(events), "--out", path], check=True)


def feed(kafka, topic, directory, events, users):
    path = directory / "events.ndjson"
    generate(path, events, users)
    kafka.feed(topic, path)
    path.unlink()


def argv(one, directory, args, events, profiles, letters):
    return [ROOT / "build/bin/userprofile", "run", "--brokers", one.bootstrap, "--events", events,
            "--profiles", profiles, "--dead-letters", letters, "--bounded", "--checkpoints",
            directory / "checkpoints", "--checkpoint-interval", "10s", "--parallelism",
            str(args.parallelism), "--memory", args.memory, "--metrics-json", directory / "metrics.json"]


def start(one, directory, args, *topics):
    with open(directory / "job.log", "wb") as log:
        return broker.spawn([os.fspath(part) for part in argv(one, directory, args, *topics)],
                            stdout=log, stderr=log)


def finish(process, directory):
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"userprofile failed, see {directory / 'job.log'}")
    return usage


def forget(directory):
    """What the run before, or one that was interrupted, has left: the next one starts from the beginning."""
    shutil.rmtree(directory / "checkpoints", ignore_errors=True)


def warm_up(one, directory, args):
    forget(directory)
    finish(start(one, directory, args, "few", "few-profiles", "few-dead-letters"), directory)


def measure(one, directory, args):
    forget(directory)
    host_memory.take()
    started = time.monotonic()
    usage = finish(start(one, directory, args, "events", "profiles", "dead-letters"), directory)
    return time.monotonic() - started, usage


def measure_kill(one, directory, args, after_s):
    """Events that were left, and how long they took."""
    forget(directory)
    host_memory.take()
    process = start(one, directory, args, "events", "profiles-2", "dead-letters-2")
    try:
        process.wait(after_s)
        sys.exit(f"userprofile ended within {after_s:.0f} s, it was to be killed then")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    started = time.monotonic()
    finish(start(one, directory, args, "events", "profiles-2", "dead-letters-2"), directory)
    elapsed = time.monotonic() - started
    tasks = json.loads((directory / "metrics.json").read_text())["tasks"]
    left = sum(task["records_in"] for task in tasks if task["task"].startswith("dedupe"))
    if left == 0:
        sys.exit(f"nothing was left behind a kill after {after_s:.0f} s: give it more --events")
    return left, elapsed


def report(events, elapsed, usage, metrics):
    rate = events / elapsed
    cpu = usage.ru_utime + usage.ru_stime
    checkpoints = metrics["checkpoints"]
    p99 = checkpoints["duration_ms"]["p99"]
    line("userprofile Kafka to Kafka", f"{rate:.0f}", "events/s", GOAL_RATE, rate >= GOAL_RATE)
    line("userprofile client CPU", f"{cpu / events * 1e6:.1f}", "us/event")
    line("userprofile checkpoint p99", f"{p99:.0f}", "ms", GOAL_CHECKPOINT_MS, p99 < GOAL_CHECKPOINT_MS)
    line("userprofile peak RSS", f"{usage.ru_maxrss / 1024:.0f}", "MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--memory", default="8GB")
    args = parser.parse_args()
    try:
        broker.require_tools()
    except broker.ToolsMissing as missing:
        print(f"SKIPPED: {missing}", file=sys.stderr)
        return
    with broker.Broker("bench-userprofile", heap_mb=512) as one:
        directory = pathlib.Path(one.directory)
        kafka = kafka_tools.Kafka(one.bootstrap)
        for topic, partitions in (("events", 4), ("profiles", 4), ("dead-letters", 1),
                                  ("profiles-2", 4), ("dead-letters-2", 1),
                                  ("few", 4), ("few-profiles", 4), ("few-dead-letters", 1)):
            kafka.create_topic(topic, partitions=partitions, config={"max.message.bytes": 4 << 20})
        feed(kafka, "events", directory, args.events, args.users)
        feed(kafka, "few", directory, WARM_UP_EVENTS, args.users)
        warm_up(one, directory, args)
        elapsed, usage = measure(one, directory, args)
        report(args.events, elapsed, usage, json.loads((directory / "metrics.json").read_text()))
        left, elapsed = measure_kill(one, directory, args, elapsed * KILLED_AT)
        line("userprofile behind kill -9", f"{left / elapsed:.0f}", "events/s")


if __name__ == "__main__":
    main()
