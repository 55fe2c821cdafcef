"""The cases with a broker: it is on the same machine, the same for both sides, and its CPU is counted apart.

A topic is filled once; each run copies it to a topic of its own, which is read back (read_committed, by
test/e2e/tools/kafka_digest) for the digest. One broker, replication factor 1, so the figures are the clients'.
"""

import pathlib

import cases
import sides
from sides import broker

import kafka_tools  # from test/e2e, whose path sides adds

PARTITIONS = 4
M = cases.M
# Without keyed state; Flink's producer settings are in Copy.java.
CASES = [cases.Case(f"copy {size} B", "copy", *sizes, (size,), {}, {"DataStream": ((), {})}) for size, sizes in (
    (100, ((8 * M, 2 * M), (3 * M, M))), (1000, ((3 * M, M), (M, M // 3))))]


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / sides.TICKS_PER_S


def write_lines(path, count, size):
    """Of `size` bytes, each different."""
    filler = (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size - 12]
    with open(path, "wb") as lines:
        for first in range(0, count, 50_000):
            lines.write(b"".join(b"%012d%s\n" % (i, filler) for i in range(first, min(count, first + 50_000))))


class Topics:
    """A broker with a filled topic, and a new topic for each run."""

    def __init__(self, one, count, size):
        self.one, self.kafka, self.made = one, kafka_tools.Kafka(one.bootstrap), 0
        self.kafka.create_topic("in", partitions=PARTITIONS)
        path = one.directory / "lines"
        write_lines(path, count, size)
        self.kafka.feed("in", path)
        path.unlink()

    def run(self, run):
        """`run` with the arguments that name the topics; its digest is that of the topic that it filled."""
        self.made += 1
        out = f"out-{self.made}"
        self.kafka.create_topic(out, partitions=PARTITIONS)
        before = cpu_s(self.one.pid())
        result = run(["--brokers", self.one.bootstrap, "--in", "in", "--out", out])
        read = cpu_s(self.one.pid())
        digest = self.kafka.digest(out, checksum=True, isolation="read_committed")
        self.kafka.delete_topic(out)
        return {**result, "rows": digest["records"], "digest": digest["checksum"], "broker_cpu_s": round(read - before, 2)}


def make(case, args, has_flink, base):
    """A comparison of a case of this file; None: it is none."""
    if case not in CASES:
        return None

    class KafkaComparison(base):
        """Lives as long as its broker."""
        topics = None

        def side(self, run, *rest):
            numbers = ["--count", str(case.count[args.quick]), "--warm", str(case.warm[args.quick])]
            return self.topics.run(lambda names: run(case.group, [*numbers, *names], *rest))

        def run_weir(self, is_full_digest):
            return self.side(sides.weir, case.weir)

        def run_flink(self, variant, is_full_digest):
            return self.side(sides.flink, case.flink[variant][1])

        def check(self):
            """Each run is read back as a whole: there is nothing else to check."""

        def run(self):
            with broker.Broker("bench-flink", heap_mb=768) as one:
                self.topics = Topics(one, case.count[args.quick], case.arguments[0])
                super().run()

    return KafkaComparison(case, args, has_flink)
