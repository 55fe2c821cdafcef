"""Ten million records through a job, exactly once, while brokers are killed every 20 seconds and workers every 10.

What   Three brokers, every topic with three replicas of which two must be in sync; a job on a cluster copies one topic to another
       with parallelism 4. Every BOUNCE_S seconds the next broker is killed and started again on its data, every KILL_S
       seconds all workers of the job. Records flow in at RATE all the while.
How    Every record is its own number, so that an order-free checksum over both topics tells a loss from a duplicate from a change.
       The end is read from a savepoint. WEIR_TEST_LONG=1 only: it takes a quarter of an hour.
"""

import itertools
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import chaos  # noqa: E402
import cluster  # noqa: E402
import kafka_tools  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
COUNT = 10_000_000
RATE = 20_000
BOUNCE_S, KILL_S = 20, 10
PARTITIONS = 4
LIMIT_S = 1200  # of the rest of the input, and of a restart while two of three brokers are behind


@unittest.skipUnless(IS_LONG, "WEIR_TEST_LONG=1 runs it")
class ThreeBrokers(cluster.ClusterTest):
    def setUp(self):
        broker.or_skip(broker.require_tools)
        super().setUp()
        self.brokers = self.enterContext(broker.Cluster("three-brokers", heap_mb=512))
        self.kafka = kafka_tools.Kafka(self.brokers.bootstrap)
        for topic in ("in", "out"):
            self.kafka.create_topic(topic, partitions=PARTITIONS)
        self.lines = self.directory / "lines"
        with open(self.lines, "w", encoding="ascii") as file:
            for first in range(0, COUNT, 10_000):
                file.write("".join(f"record {index:012}\n" for index in range(first, min(first + 10_000, COUNT))))

    def copy(self, number, *options):
        return self.one.submit(kafka_tools.BINARIES / "kafka_copy", "--brokers", self.brokers.bootstrap, "--topic", "in",
                               "--out-topic", "out", "--parallelism", PARTITIONS, "--checkpoints",
                               self.directory / f"checkpoints-{number}", "--checkpoint-interval", "500ms", "--restart-delay",
                               "20ms", "--restart-delay-max", "1s", *options)

    def test_ten_million_records_come_out_once_although_brokers_and_workers_die(self):
        self.one = self.cluster(slots=2)
        job = self.copy(1)
        job.wait_checkpoints()
        with self.kafka.start_feed("in", self.lines, rate=RATE, timeout=300) as feed:
            bounces, kills = self.hurt(job, feed)
            self.assertEqual(feed.wait(chaos.END_LIMIT_S), 0)
        job.wait("RUNNING", limit_s=LIMIT_S)
        savepoint = job.stop(self.directory / "savepoints")
        job.wait("FINISHED")
        self.copy(2, "--bounded", "--from-savepoint", savepoint).wait("FINISHED", limit_s=LIMIT_S)
        fed, got = [(it["records"], it["checksum"]) for it in
                    (self.kafka.digest(topic, checksum=True, timeout=170) for topic in ("in", "out"))]
        self.assertEqual(fed[0], COUNT)
        self.assertEqual(got, fed)
        self.assertGreater(min(bounces, kills // 2), COUNT // RATE // BOUNCE_S // 4)  # they did die all the time
        print(f"  {COUNT} records, {bounces} brokers and {kills} workers killed: exact", file=sys.stderr, flush=True)

    def hurt(self, job, feed):
        """As long as records flow in; (how many brokers, how many workers)."""
        bounces = kills = 0
        for turn in itertools.count(1):
            try:
                feed.wait(KILL_S)
                return bounces, kills
            except subprocess.TimeoutExpired:
                pass  # they still do
            for pid in self.one.workers(job=job):
                kills += cluster.hurt(pid)
            if turn * KILL_S % BOUNCE_S == 0:
                node = bounces % 3 + 1
                self.brokers.kill9(node)
                self.brokers.restart(node)
                bounces += 1


if __name__ == "__main__":
    unittest.main()
