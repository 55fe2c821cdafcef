"""The main job from a real Kafka to a real Kafka, killed again and again: every record exactly once.

What   Real reviews (when the data is there) and generated events go into a topic while userprofile runs with
       RocksDB and a checkpoint every 300 ms, is killed at random moments and at named points, and resumes,
       sometimes with another parallelism. Readers with read_committed watch the outputs all the time.
How    At the end the job runs to the end of its input; the oracle, which knows nothing of the engine,
       compares final profiles byte for byte, dead letters as a multiset, exact counters.
"""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import chaos  # noqa: E402
import kafka_tools  # noqa: E402
from seed import SEED  # noqa: E402

ROOT = pathlib.Path(os.environ.get("WEIR_ROOT", pathlib.Path(__file__).resolve().parents[2]))
FAULT_BIN = ROOT / "build" / "faults" / "bin"
DATA = pathlib.Path(os.environ.get("WEIR_DATA", ROOT.parent / "shared" / "data"))
IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
GENERATED = 150_000 if IS_LONG else 60_000
REVIEWS = 578_805 if IS_LONG else 40_000
RANDOM_KILLS = 40 if IS_LONG else 16
TTL = "10000d"  # generated events are of today, reviews of twenty years ago
BIG = {"max.message.bytes": 4 << 20}

# Named points of the protocol that a running job passes again and again.
POINTS = [
    "attempt-claim-after", "restore-read-after", "deploy-start-after", "trigger-send-after",
    "barrier-send-after", "snapshot-freeze-after", "snapshot-write-before", "snapshot-write-after",
    "ack-receive-before", "checkpoint-publish-before", "metadata-sync-before", "metadata-rename-before",
    "metadata-rename-after", "checkpoint-publish-after", "notify-send-before", "notify-send-after",
    "notify-receive-before", "notify-receive-after", "clean-before", "clean-after", "kafka-init-after",
    "kafka-judge-after", "kafka-produce-after", "kafka-commit-before", "kafka-commit-after", "kafka-publish-after",
]
ONCE = {"attempt-claim-after", "restore-read-after", "deploy-start-after"}  # once a start


def run(argv, **options):
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True,
                          timeout=600, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def make_input(directory):
    """One file of lines: generated events and, if there are any, real ones, mixed by a seed."""
    lines = []
    generated = directory / "generated.ndjson"
    run([sys.executable, ROOT / "tools/generate_events.py", "--seed", SEED, "--users", 5000,
         "--count", GENERATED, "--out", generated])
    lines += generated.read_bytes().split(b"\n")[:-1]
    archive = DATA / "reviews.csv.bz2"
    if archive.exists():
        reviews = directory / "reviews.ndjson"
        run([sys.executable, ROOT / "tools/reviews_to_events.py", archive, "--limit", REVIEWS,
             "--out", reviews])
        lines += reviews.read_bytes().split(b"\n")[:-1]
    else:
        print(f"SKIPPED: real reviews: {archive} is not there", file=sys.stderr)
    random.Random(SEED).shuffle(lines)
    path = directory / "events.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path, len(lines)


class Slices:
    """The input in as many slices as there are kills: each flows for two seconds while the job runs, so
    that there is something to read and to publish before every kill."""

    def __init__(self, kafka, path, count):
        self.kafka, self.path, self.count = kafka, path, count
        self.next = 0
        self.feed = None

    def start(self, left):
        size = (self.count - self.next) // left
        self.feed = self.kafka.start_feed("events", self.path, from_line=self.next, count=size,
                                          rate=max(1, size // 2))
        self.next += size

    def finish(self):
        with self.feed:
            status = self.feed.wait(chaos.END_LIMIT_S)
        if status != 0:
            raise AssertionError(f"kafka_feed ended with {status}")


class UserprofileKafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        broker.or_skip(broker.require_tools)
        if not (FAULT_BIN / "userprofile").exists():
            raise AssertionError("build/faults/bin/userprofile is missing: make faults")

    def argv(self, one, checkpoints):
        return [FAULT_BIN / "userprofile", "run", "--brokers", one.bootstrap, "--events", "events",
                "--profiles", "profiles", "--dead-letters", "dead-letters", "--fragments", "fragments",
                "--dedupe-ttl", TTL, "--emit-interval", "50ms", "--checkpoints", checkpoints,
                "--checkpoint-interval", "300ms", "--restart", "none", "--memory", "256MB"]

    def test_every_record_comes_out_once_although_the_job_is_killed_again_and_again(self):
        with broker.Broker("userprofile", heap_mb=384) as one:
            directory = pathlib.Path(one.directory)
            shutil.rmtree(directory / "checkpoints", ignore_errors=True)  # of an earlier run
            events, count = make_input(directory)
            kafka = kafka_tools.Kafka(one.bootstrap)
            kafka.create_topic("events", partitions=4, config=BIG)
            for topic, partitions in (("profiles", 3), ("dead-letters", 2), ("fragments", 2)):
                kafka.create_topic(topic, partitions=partitions, config=BIG)
            job = chaos.Chaos(self.argv(one, directory / "checkpoints"), directory / "job", SEED)
            with kafka.tail("profiles", directory / "profiles.dump") as profiles, \
                    kafka.tail("dead-letters", directory / "dead.dump") as dead, \
                    kafka.tail("fragments", directory / "fragments.dump") as fragments:
                self.torture(job, Slices(kafka, events, count))
                metrics = directory / "metrics.json"
                job.finish(["--bounded", "--parallelism", "2", "--metrics-json", metrics])
                for tail in (profiles, dead, fragments):
                    tail.stop()
            self.judge(one, kafka, directory, metrics)
            print(f"userprofile: {count} events, {job.kills} kills, {len(job.fired)} named points, "
                  f"{job.starts} starts: exact", file=sys.stderr)
            self.assertGreaterEqual(job.kills, 40)

    def torture(self, job, slices):
        plan = [("point", point) for point in POINTS] + [("random", None)] * RANDOM_KILLS
        plan += [("stop", None)] * 2
        if IS_LONG:
            plan += [("point", point) for point in POINTS]
        job.random.shuffle(plan)
        for left in range(len(plan), 0, -1):
            kind, point = plan[left - 1]
            extra = ["--parallelism", str(job.random.choice((1, 2, 2, 3)))]
            slices.start(left)
            if kind == "random":
                job.kill_at_random(extra)
            elif kind == "stop":
                job.stop(extra)
            else:
                job.kill_at(point, extra, nth=1 if point in ONCE else job.random.choice((1, 1, 2)))
            slices.finish()

    def judge(self, one, kafka, directory, metrics):
        dump = directory / "events.dump"
        with kafka.tail("events", dump, until_high=True) as tail:
            self.assertEqual(tail.process.wait(chaos.END_LIMIT_S), 0)
        print(run([sys.executable, ROOT / "test/oracle/verify.py", "--kafka", dump, "--topic", "events",
                   "--dedupe-ttl", TTL, "--profiles", directory / "profiles.dump", "--dead-letters",
                   directory / "dead.dump", "--fragments", directory / "fragments.dump", "--metrics",
                   metrics]), file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
