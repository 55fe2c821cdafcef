#!/usr/bin/env python3
"""kill -9 with 1 GB of keyed state: how long until the next process shows the first correct output.

What   test/e2e/jobs/large.c writes nine million users with a page of 96 random bytes each and ends. Then it goes on
       at a steady rate with a checkpoint each second, is killed with SIGKILL, and started again: from exec
       to the first line of output, which must say what that record's user had. Files are in the
       system's cache, as they are after a crash of a process. Median of a few rounds, each behind the one before.
How    ./bench/recover.py [--users N] [--rate N]; prints name TAB value TAB unit TAB goal TAB ok|short.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
import broker  # noqa: E402
import program  # noqa: E402

GOAL_MS = 500
ROUNDS = 5
CHECKPOINTS = 3  # between two kills


def line(name, value, unit, goal, is_ok=True):
    print(f"{name}\t{value:.0f}\t{unit}\t{goal}\t{'ok' if is_ok else 'short'}", flush=True)


def argv(directory, args, *more):
    return program.argv_of("large", "run", "--checkpoints", directory, "--users", args.users, "--parallelism",
                           args.parallelism, "--memory", args.memory, *more)


def fill(directory, args):
    subprocess.run(argv(directory, args, "--count", args.users, "--from", args.users), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start(directory, args):
    """A process and the milliseconds to its first line."""
    started = time.monotonic()
    process = broker.spawn(argv(directory, args, "--rate", str(args.rate), "--from", args.users,
                                "--checkpoint-interval", "1s"),
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = json.loads(process.stdout.readline())
    elapsed = (time.monotonic() - started) * 1000
    if found["nth"] != found["index"] // args.users + 1:
        sys.exit(f"wrong after a restore: {found}")
    return process, elapsed


def kill_after_checkpoints(process, job):
    """Reads what it says until a few checkpoints more are complete."""
    last = max(program.checkpoints_of(job))
    while max(program.checkpoints_of(job)) < last + CHECKPOINTS:
        process.stdout.readline()
    process.kill()
    process.stdout.close()
    process.wait()


def state_size(job):
    """Of the stored files, about: what is kept of an older checkpoint is in it, too."""
    return sum(path.stat().st_size for path in (job / "shared").iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=9_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--memory", default="1GB")
    args = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-recover-", dir=ROOT / "build"))
    try:
        fill(directory, args)
        process, _ = start(directory, args)
        times = []
        for _ in range(ROUNDS):
            kill_after_checkpoints(process, directory / "large")
            process, elapsed = start(directory, args)
            times.append(elapsed)
        process.kill()
        process.stdout.close()
        process.wait()
        size = state_size(directory / "large")
        times.sort()
        line(f"kill -9 to first output, {size / 1e9:.1f} GB of files", times[ROUNDS // 2], "ms", GOAL_MS,
             times[ROUNDS // 2] <= GOAL_MS)
        line("kill -9 to first output, worst", times[-1], "ms", "-")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
