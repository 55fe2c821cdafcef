"""From files to files, killed again and again, and overtaken while frozen: every record exactly once.

What   test/e2e/tools/file_count.c counts how often each line of its input has come. It is killed at random
       moments and at named points, with another parallelism each time; and it is frozen (SIGSTOP) while another
       process takes over, and thawed then: a zombie.
How    The oracle is a Counter: a line that is k times in the input must come out with 1 .. k, each once, and
       with -k by a timer at the end; lines that are too long must be dead letters, each once. No broker is needed.
"""

import collections
import gzip
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chaos  # noqa: E402
import kills  # noqa: E402
from seed import SEED  # noqa: E402

ROOT = pathlib.Path(os.environ.get("WEIR_ROOT", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("WEIR_BUILD_DIR", ROOT / "build"))
JOB = BUILD / "faults" / "e2e" / "file_count"
IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
LINES = 600_000 if IS_LONG else 240_000
RANDOM_KILLS = 30 if IS_LONG else 6
ROUNDS = 2 if IS_LONG else 1
ZOMBIES = 20 if IS_LONG else 8
PAUSE_US = 2500  # for 64 records: 40 us each
FENCED = 19  # exit status (include/weir/error.h)

POINTS = [
    "attempt-claim-after", "restore-read-after", "deploy-start-after", "trigger-send-after",
    "barrier-send-after", "snapshot-freeze-after", "snapshot-write-before", "snapshot-write-after",
    "ack-receive-before", "checkpoint-publish-before", "metadata-sync-before", "metadata-rename-before",
    "metadata-rename-after", "checkpoint-publish-after", "notify-send-before", "notify-send-after",
    "notify-receive-before", "notify-receive-after", "clean-before", "clean-after",
    "part-rename-before", "part-rename-after",
]
ONCE = {"attempt-claim-after", "restore-read-after", "deploy-start-after"}  # once a start
# Where a zombie is the most dangerous: behind a check, in front of what it was for.
ZOMBIE_POINTS = [
    "attempt-claim-after", "restore-read-after", "metadata-rename-before", "metadata-rename-after",
    "checkpoint-publish-after", "notify-send-after", "clean-before", "part-rename-before",
    "part-rename-after",
]


class Input:
    """Files of lines, and what has to come out."""

    def __init__(self, directory, count, seed):
        self.directory = directory
        self.counts = collections.Counter()
        self.too_long = collections.Counter()
        directory.mkdir(parents=True)
        rng = random.Random(seed)
        for number, share in enumerate((0.4, 0.1, 0.0, 0.3, 0.2)):
            lines = [self.line(rng) for _ in range(int(count * share))]
            self.write(number, "".join(line + "\n" for line in lines).encode())
        (directory / ".hidden").write_bytes(b"not read\n")

    def line(self, rng):
        if rng.random() < 0.0005:
            line = "x" * rng.randrange(201, 4000)
            self.too_long[len(line)] += 1
            return line
        line = f"{rng.randrange(30000)}" + "-" * rng.randrange(20)
        self.counts[line] += 1
        return line

    def write(self, number, data):
        if number % 2 == 0:
            (self.directory / f"part-{number}").write_bytes(data)
            return
        middle = len(data) // 3  # two members
        packed = gzip.compress(data[:middle], 1) + gzip.compress(data[middle:], 1)
        (self.directory / f"part-{number}.gz").write_bytes(packed)


def read_output(directory):
    """(Counter of (line, n), Counter of sizes of dead letters, names of hidden files)"""
    counted, dead = collections.Counter(), collections.Counter()
    hidden = []
    for path in directory.iterdir():
        if path.name.startswith("."):
            hidden.append(path.name)
            continue
        data = path.read_bytes()
        assert data.endswith(b"\n"), f"{path} is torn"
        for line in data.decode().split("\n")[:-1]:
            if path.name.startswith("dead-"):
                dead[json.loads(line)["size"]] += 1
            else:
                text, tab, number = line.rpartition("\t")
                assert tab == "\t", f"{path}: {line!r}"
                counted[text, int(number)] += 1
    return counted, dead, hidden


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not JOB.exists():
            raise AssertionError(f"{JOB} is missing: make faults")

    def setUp(self):
        self.directory = BUILD / "e2e" / self.id().rsplit(".", 1)[-1]
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)

    def argv(self, interval="60ms"):
        return [JOB, "--in", self.directory / "in", "--out", self.directory / "out", "--pause-us",
                str(PAUSE_US), "--checkpoints", self.directory / "checkpoints", "--checkpoint-interval",
                interval, "--min-pause", "1ms", "--restart", "none", "--memory", "256MB"]

    def judge(self, given):
        counted, dead, hidden = read_output(self.directory / "out")
        expected = collections.Counter()
        for line, count in given.counts.items():
            for number in range(1, count + 1):
                expected[line, number] = 1
            expected[line, -count] = 1
        wrong = [(key, expected[key], counted[key]) for key in expected.keys() | counted.keys()
                 if expected[key] != counted[key]]
        self.assertEqual(wrong[:10], [], "(line, n), times expected, times found")
        self.assertEqual(dead, given.too_long)
        self.assertEqual(hidden, [])

    def test_the_judge_sees_a_lost_and_a_repeated_line(self):
        given = Input(self.directory / "in", 2000, SEED)
        job = chaos.Chaos(self.argv(), self.directory / "job", SEED)
        job.finish()
        self.judge(given)
        out = self.directory / "out"
        path = max(out.glob("count-*"), key=lambda name: name.stat().st_size)
        lines = path.read_bytes().splitlines(keepends=True)
        for damaged in (lines[1:], lines + lines[:1]):
            path.write_bytes(b"".join(damaged))
            with self.assertRaises(AssertionError):
                self.judge(given)

    def test_every_line_is_counted_once_although_the_job_is_killed_again_and_again(self):
        for number in range(ROUNDS):
            seed = SEED + number
            shutil.rmtree(self.directory)
            given = Input(self.directory / "in", LINES, seed)
            job = chaos.Chaos(self.argv(), self.directory / "job", seed)
            plan = POINTS + [None] * RANDOM_KILLS
            job.random.shuffle(plan)
            for point in plan:
                extra = ["--parallelism", str(job.random.choice((1, 2, 3))), "--state-backend", "hashmap"]
                if point is None:
                    job.kill_at_random(extra)
                else:
                    job.kill_at(point, extra, nth=1 if point in ONCE else None)
            job.finish(["--parallelism", "2", "--state-backend", "hashmap"])
            self.judge(given)
            print(f"files: {LINES} lines, {job.kills} kills, {len(job.fired)} named points: exact",
                  file=sys.stderr)
            self.assertEqual(set(job.fired), set(POINTS))

    def start(self, fault=None):
        env = dict(os.environ)
        if fault:
            env["WEIR_FAULT"] = fault
        path = self.directory / f"run-{time.monotonic_ns()}.log"
        with open(path, "wb") as log:
            process = subprocess.Popen(self.argv("30ms") + ["--state-backend", "hashmap"], stdout=log, stderr=log, env=env)
        return process, path

    def await_attempt(self, process, path):
        """Until it has claimed one: whoever wakes up before that is no zombie, but the next attempt."""
        deadline = time.monotonic() + chaos.START_LIMIT_S
        while process.poll() is None and not re.search(rb"starts from|stalled for", path.read_bytes()):
            self.assertLess(time.monotonic(), deadline, path.read_text())
            time.sleep(0.005)

    def test_a_zombie_that_wakes_up_while_another_runs_changes_nothing(self):
        given = Input(self.directory / "in", LINES // 2, SEED)
        rng = random.Random(SEED)
        zombies, statuses = [], collections.Counter()
        try:
            for number in range(ZOMBIES):
                point = ZOMBIE_POINTS[number % len(ZOMBIE_POINTS)]
                nth = 1 if point.startswith("restore") else rng.randrange(1, 4)
                zombie, log = self.start(f"{point}:{nth}:stall-1500")
                zombies.append(zombie)
                self.await_attempt(zombie, log)
                time.sleep(rng.uniform(0.4, 0.9))  # it stands at its point by now, mostly
                if rng.random() < 0.5:
                    kills.count("job")
                    zombie.send_signal(signal.SIGSTOP)
            last, _ = self.start()
            for zombie in zombies:  # the frozen ones wake up while the last one runs
                time.sleep(rng.uniform(0, 0.3))
                zombie.send_signal(signal.SIGCONT)
            for zombie in zombies:
                statuses[zombie.wait(chaos.END_LIMIT_S)] += 1
            self.assertEqual(last.wait(chaos.END_LIMIT_S), 0)
        finally:
            for process in zombies:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        # Zombies leave hidden files that nobody publishes; the next start deletes them.
        again, _ = self.start()
        self.assertEqual(again.wait(chaos.END_LIMIT_S), 0)
        self.judge(given)
        print(f"files: {ZOMBIES} zombies, {statuses[FENCED]} fenced: exact", file=sys.stderr)
        self.assertEqual(set(statuses), {FENCED})


if __name__ == "__main__":
    unittest.main()
