"""The cases with a broker: it is on the same machine, the same for both sides, and its CPU is counted apart.

A topic is filled once; each run writes to a topic of its own, which is read back (read_committed, by the tools of
test/e2e) for the digest: of a copy all records, of profiles the latest of each key. One broker, replication factor 1.
"""

import hashlib
import json
import pathlib
import resource
import subprocess
import sys
import time

import sides
import throughput
import turns
from sides import broker

import kafka_tools  # from test/e2e, whose path sides adds

PARTITIONS = 4
READ_BACK_S = 300
LIMIT_S = 1200
# The tests want a killed broker back soon; here it must not lose itself when the machine is busy.
SETTINGS = {"broker.session.timeout.ms": 60_000}
M = throughput.M


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / sides.TICKS_PER_S


def children_s():
    """CPU seconds of the children that have ended: of the client, here."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
        before, started = cpu_s(self.one.pid()), time.monotonic()
        result = run(out)
        used = cpu_s(self.one.pid()) - before
        others = round(max(result["other_cpu"] - used / (time.monotonic() - started), 0), 2)  # than the broker
        rows, found, written = digest(out)
        self.kafka.delete_topic(out)
        return {**result, "rows": rows, "digest": found, "written": written, "broker_cpu_s": round(used, 2), "other_cpu": others}

    def all_records(self, topic):
        found = self.kafka.digest(topic, checksum=True, isolation="read_committed")
        return found["records"], found["checksum"], found["records"]

    def latest_records(self, topic):
        """Of each key, whose records are all in one partition; a null value is none. How many were written in all."""
        latest, written, path = {}, 0, self.one.directory / "read-back"
        with self.kafka.tail(topic, path, until_high=True, timeout=READ_BACK_S) as tail:
            if tail.process.wait(READ_BACK_S) != 0:
                raise sides.RunFailed(f"topic {topic} could not be read back")
        with open(path, encoding="ascii") as lines:
            for line in lines:
                record = json.loads(line)
                written += 1
                if record["key"] not in latest or latest[record["key"]][0] < record["offset"]:
                    latest[record["key"]] = record["offset"], record["value"]
        path.unlink()
        total, rows = 0, 0
        for key, (_, value) in latest.items():
            if value is not None:
                rows += 1
                total += int.from_bytes(hashlib.blake2b(f"{key} {value}".encode(), digest_size=8).digest(), "little")
        return rows, f"{total % (1 << 64):016x}", written


def start_broker():
    return broker.Broker("bench-flink", settings=SETTINGS, heap_mb=768, start_timeout_s=LIMIT_S)


def options(names):
    return [part for pair in names.items() for part in pair]


class Copy(throughput.Throughput):
    """Without keyed state; Flink's producer settings are in Copy.java. Lives as long as its broker.

    Weir publishes behind a checkpoint, so what it has read before a mark it would publish behind it: it is measured from
    its first record on."""

    def __init__(self, size, count, **more):
        super().__init__(f"copy {size} B", ("copy",), count, {}, {"DataStream": ((), {})}, **more)
        self.size, self.topics = size, None

    def fill(self, path):
        write_lines(path, self.count, self.size)

    def digest(self, topic):
        return self.topics.all_records(topic)

    def side(self, run):
        return self.topics.run(lambda out: run({"--brokers": self.topics.one.bootstrap, "--in": "in", "--out": out}),
                               self.digest)

    def run_weir(self, is_full_digest, share=1):
        whole = ["--count", str(self.count), "--warm", "1"]
        return self.side(lambda names: sides.weir(["--workload", *self.arguments, *whole, *options(names)], self.settings))

    def run_flink(self, variant, is_full_digest, share=1):
        return self.side(lambda names: sides.flink(*self.arguments, [*self.numbers(False), *options(names)],
                                                   self.flink[variant][1], LIMIT_S))

    def check(self, names):
        """Each run is read back as a whole: there is nothing else to check. A run that does not count warms the broker."""
        self.run_weir(False)
        return True

    def run(self, has_flink):
        with start_broker() as one:
            self.topics = Topics(one, self.fill)
            return super().run(has_flink)


class Userprofile(Copy):
    """The main job. Weir's is the program itself, measured from its start, with an empty state, to its end: it has no mark."""

    def __init__(self, backend, count, users, weir, flink, **more):
        super().__init__(0, count, **more)
        self.name, self.arguments, self.users = f"userprofile {backend}", ("userprofile",), users
        self.settings, self.flink = weir, flink

    def fill(self, path):
        write_events(path, self.count, self.users)

    def digest(self, topic):
        return self.topics.latest_records(topic)

    def run_weir(self, is_full_digest, share=1):
        return self.side(self._program)

    def _program(self, names):
        with sides.work_folder():
            ran = sides.measured(sides.weir_argv(
                ["--brokers", names["--brokers"], "--events", names["--in"], "--profiles", names["--out"], "--dead-letters",
                 "dead-letters", "--bounded", "--memory", "4GB"], self.settings, "userprofile"), LIMIT_S)
        return {"events": self.count, "warm": 0, "cpu_s": ran.cpu_s, "wall_s": ran.wall_s, "rss_mb": ran.rss_mb,
                "other_cpu": ran.other_cpu}

    def run(self, has_flink):
        with start_broker() as one:
            self.topics = Topics(one, self.fill)
            self.topics.kafka.create_topic("dead-letters", partitions=1)
            return throughput.Throughput.run(self, has_flink)


def cases(mode):
    def pick(full, quick):
        return (full, quick)[mode]

    made = [Copy(size, pick(*counts), seconds=pick(108, 38), pairs=pick(3, 1))
            for size, counts in ((100, ((4 * M, M), (2 * M, 700_000))), (1000, ((2 * M, 600_000), (600_000, 200_000))))]
    for backend, weir, flink, seconds, pairs in (
            ("heap", {"state-backend": "hashmap"}, {"heap": ((), throughput.HEAP)}, (160, 45), 2),
            ("durable", {}, {"RocksDB": ((), throughput.ROCKS), "heap": ((), throughput.HEAP)}, (200, 65), 1)):
        made.append(Userprofile(backend, pick((1500_000, 300_000), (400_000, 100_000)), pick(500_000, 100_000), weir, flink,
                                seconds=pick(*seconds), pairs=pick(pairs, 1)))
    return made


class Latency(turns.Case):
    """Copied at a fixed rate: how long a record takes until a reader of what is committed has it.

    Both sides have the same client, test/e2e/tools/kafka_latency, and the same interval of checkpoints.
    """
    RATE = 20_000

    def __init__(self, interval_ms, warm_s, measured_s, **more):
        super().__init__(f"latency of a copy, checkpoint {interval_ms} ms", **more)
        self.interval_ms, self.warm_s, self.measured_s = interval_ms, warm_s, measured_s

    def once(self, name, one, kafka, number):
        names = {"--brokers": one.bootstrap, "--in": f"in-{number}", "--out": f"out-{number}"}
        for topic in (names["--in"], names["--out"]):
            kafka.create_topic(topic, partitions=PARTITIONS)
        arguments = ["--unbounded", "--warm", "0", *options(names)]
        if name is None:
            argv = sides.weir_argv(["--workload", "copy", *arguments],
                                   {"checkpoint-interval": f"{self.interval_ms}ms", "min-pause": "0s"})
        else:
            argv = sides.flink_argv("copy", arguments, {"execution.checkpointing.interval": f"{self.interval_ms} ms"},
                                    sides.SHORT_PAUSES)
        others, besides_s = sides.Others(), cpu_s(one.pid()) + children_s()
        with sides.running(argv) as process:
            said = kafka.latency(names["--in"], names["--out"], LIMIT_S, rate=self.RATE, warm=self.warm_s,
                                 seconds=self.measured_s, timeout=120)
            used = cpu_s(process.pid)
            besides_s = cpu_s(one.pid()) + children_s() - besides_s
            other_cpu = others.cores(used + besides_s)
        return {**said, "cpu_s": used, "other_cpu": other_cpu}

    def run(self, has_flink):
        names = [None, "DataStream"] if has_flink else [None]
        runs = {name: [] for name in names}
        with start_broker() as one:
            kafka = kafka_tools.Kafka(one.bootstrap)
            self.once(None, one, kafka, "cold")  # does not count: it warms the broker
            for number, name in enumerate(turns.in_turn(self.pairs, names)):
                runs[name].append(self.once(name, one, kafka, number))
        # that each record came, and once, the client has seen to
        return [turns.latency_row(self.name, f"100 B, {self.RATE} records a second", runs[None], runs.get("DataStream"),
                                  False)]


def latency_cases(mode):
    return [Latency(interval_ms, (10, 5)[mode], (20, 10)[mode], seconds=(120, 63)[mode])
            for interval_ms in ((1000, 100), (1000,))[mode]]
