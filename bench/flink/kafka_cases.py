"""The cases with a broker: it is on the same machine, the same for both sides, and its CPU is counted apart.

A topic is filled once; each run writes to a topic of its own, which is read back (read_committed, by the tools of
test/e2e) for the digest: of a copy all records, of profiles the latest of each key. One broker, replication factor 1.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import cases
import sides
from sides import broker

import kafka_tools  # from test/e2e, whose path sides adds
from kafka_tools import ToolError  # noqa: F401  what compare.py expects, too

PARTITIONS = 4
READ_BACK_S = 300
LIMIT_S = 1200
# The tests want a killed broker back soon; here it must not lose itself when the machine is busy.
SETTINGS = {"broker.session.timeout.ms": 60_000}
M = cases.M
# Without keyed state; Flink's producer settings are in Copy.java.
CASES = [cases.Case(f"copy {size} B", "copy", *sizes, (size,), {}, {"DataStream": ((), {})}) for size, sizes in (
    (100, ((8 * M, 2 * M), (3 * M, M))), (1000, ((3 * M, M), (M, M // 3))))]
# count, warm, and users; Weir is measured from its start on, since the job has no mark
CASES.append(cases.Case("userprofile", "userprofile", (3 * M, 60_000), (M, 20_000), (M, 20_000), {},
                        {"RocksDB": ((), {**cases.ROCKS, "state.backend.rocksdb.timer-service.factory": "HEAP"})}))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / sides.TICKS_PER_S


def write_lines(path, count, size):
    """Of `size` bytes, each different."""
    filler = (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size - 12]
    with open(path, "wb") as lines:
        for first in range(0, count, 50_000):
            lines.write(b"".join(b"%012d%s\n" % (i, filler) for i in range(first, min(count, first + 50_000))))


def write_events(path, count, users):
    """Those of the main job, valid ones only."""
    subprocess.run([sys.executable, sides.ROOT / "tools/generate_events.py", "--seed", "7", "--users", str(users), "--skew",
                    "0.5", "--bad-rate", "0", "--count", str(count), "--out", path], check=True)


class Topics:
    """A broker with a filled topic, and a new topic for each run."""

    def __init__(self, one, fill):
        self.one, self.kafka, self.made = one, kafka_tools.Kafka(one.bootstrap), 0
        self.kafka.create_topic("in", partitions=PARTITIONS)
        path = one.directory / "lines"
        fill(path)
        self.kafka.feed("in", path)
        path.unlink()

    def run(self, run, digest):
        """`run` of a new topic; the digest of its result is what `digest` makes of that topic."""
        self.made += 1
        out = f"out-{self.made}"
        self.kafka.create_topic(out, partitions=PARTITIONS)
        before = cpu_s(self.one.pid())
        result = run(out)
        used = cpu_s(self.one.pid()) - before
        rows, found = digest(out)
        self.kafka.delete_topic(out)
        return {**result, "rows": rows, "digest": found, "broker_cpu_s": round(used, 2)}

    def all_records(self, topic):
        found = self.kafka.digest(topic, checksum=True, isolation="read_committed")
        return found["records"], found["checksum"]

    def latest_records(self, topic):
        """Of each key, whose records are all in one partition; a null value is none."""
        latest, path = {}, self.one.directory / "read-back"
        with self.kafka.tail(topic, path, until_high=True, timeout=READ_BACK_S) as tail:
            if tail.process.wait(READ_BACK_S) != 0:
                raise sides.RunFailed(f"topic {topic} could not be read back")
        with open(path, encoding="ascii") as lines:
            for line in lines:
                record = json.loads(line)
                if record["key"] not in latest or latest[record["key"]][0] < record["offset"]:
                    latest[record["key"]] = record["offset"], record["value"]
        path.unlink()
        total, rows = 0, 0
        for key, (_, value) in latest.items():
            if value is not None:
                rows += 1
                total += int.from_bytes(hashlib.blake2b(f"{key} {value}".encode(), digest_size=8).digest(), "little")
        return rows, f"{total % (1 << 64):016x}"


def weir_userprofile(names, count):
    """The program itself; from its start, with an empty state, to its end."""
    with sides.work_folder():
        ran = sides.measured(
            [os.fspath(sides.ROOT / "build/bin/userprofile"), "run", "--brokers", names["--brokers"], "--events", names["--in"],
             "--profiles", names["--out"], "--dead-letters", "dead-letters", "--bounded", "--log-level", "warn",
             "--checkpoints", os.fspath(sides.WORK / "checkpoints"), "--checkpoint-interval", "10s", "--memory", "4GB"], LIMIT_S)
    return {"events": count, "warm": 0, "cpu_s": ran.cpu_s, "wall_s": ran.wall_s, "rss_mb": ran.rss_mb,
            "other_cpu": ran.other_cpu}


def make(case, args, has_flink, base):
    """A comparison of a case of this file; None: it is none."""
    if case not in CASES:
        return None
    count, is_profile = case.count[args.quick], case.workload == "userprofile"

    class KafkaComparison(base):
        """Lives as long as its broker."""
        topics = None

        def side(self, run):
            def with_names(out):
                return run({"--brokers": self.topics.one.bootstrap, "--in": "in", "--out": out})
            return self.topics.run(with_names, self.topics.latest_records if is_profile else self.topics.all_records)

        def numbers(self, names):
            flags = ["--count", str(count), "--warm", str(case.warm[args.quick])]
            return [*flags, *(part for pair in names.items() for part in pair)]

        def run_weir(self, is_full_digest):
            if is_profile:
                return self.side(lambda names: weir_userprofile(names, count))
            return self.side(lambda names: sides.weir(case.workload, self.numbers(names), case.weir))

        def run_flink(self, variant, is_full_digest):
            return self.side(lambda names: sides.flink(case.workload, self.numbers(names), case.flink[variant][1], LIMIT_S))

        def check(self):
            """Each run is read back as a whole: there is nothing else to check."""

        def run(self):
            size = case.arguments[args.quick if is_profile else 0]
            with broker.Broker("bench-flink", settings=SETTINGS, heap_mb=768, start_timeout_s=LIMIT_S) as one:
                self.topics = Topics(one, lambda path: (write_events if is_profile else write_lines)(path, count, size))
                if is_profile:
                    self.topics.kafka.create_topic("dead-letters", partitions=1)
                super().run()

    return KafkaComparison(case, args, has_flink)
