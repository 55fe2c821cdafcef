#!/usr/bin/env python3
"""The Kafka source through the engine: the job kafka_copy copies a topic to files or to another topic.

Run: python3 test/e2e/test_kafka_source.py   (about a minute; one broker shared by the tests)

A file line is "partition TAB offset TAB value", so a test sees what was read, in which order, and that
nothing was read twice.
"""

import os
import pathlib
import shutil
import signal
import time
import unittest

import broker
import kafka_proxy
import kafka_tools
import publisher

LONG = bool(os.environ.get("WEIR_TEST_LONG"))
COMPLETED = " completed in"  # a checkpoint, in the log
SHARED = None
KAFKA = None


def setUpModule():
    global SHARED, KAFKA
    broker.or_skip(broker.require_tools)
    publisher.build("kafka_copy")
    SHARED = broker.Broker("test-source").start()
    KAFKA = kafka_tools.Kafka(SHARED.bootstrap)


def tearDownModule():
    if SHARED is not None:
        SHARED.close()


class Copy:
    """Runs of kafka_copy from one topic, on one checkpoint directory. Context manager."""

    def __init__(self, topic, partitions=3, **options):
        self.topic = topic
        self.directory = SHARED.directory / "work" / topic
        shutil.rmtree(self.directory, ignore_errors=True)
        self.out = self.directory / "out"
        self.out.mkdir(parents=True)
        self.options = {"topic": topic, "brokers": SHARED.bootstrap, "group": f"group-{topic}",
                        "checkpoints": self.directory / "checkpoints",
                        "checkpoint_interval": "100ms", "restart_delay": "100ms", **options}
        if "out_topic" not in options:
            self.options["out"] = self.out
        self.runs = []
        if partitions:
            KAFKA.create_topic(topic, partitions=partitions)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for run in self.runs:
            run.close()

    def start(self, fault=None, **options):
        argv = [publisher.PROGRAMS / "kafka_copy", "run",
                *kafka_tools._options({**self.options, **options})]
        self.runs.append(publisher.Life(argv, fault))
        return self.runs[-1]

    def run(self, timeout_s=60, **options):
        run = self.start(**options)
        return run.wait(timeout_s), run

    def lines(self):
        """[(partition, offset, value)] of all published files, in the order of the files."""
        found = []
        for path in sorted(self.out.glob("part-*")):
            for line in path.read_bytes().splitlines():
                partition, offset, value = line.split(b"\t", 2)
                found.append((int(partition), int(offset), value))
        return found

    def wait_for(self, count, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while len(self.lines()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.lines())} of {count} lines\n{self.runs[-1].said()}")
            time.sleep(0.05)
        return self.lines()

    def wait_for_checkpoints(self, run, count):
        """Until so many more have completed: the source polled before each, and committed after it."""
        begun = sum(COMPLETED in line for line in run.errors)
        if not run.wait_line(COMPLETED, errors=True, count=begun + count):
            raise AssertionError(f"it ended before {count} more checkpoints\n{run.said()}")

    def stop(self, run):
        run.process.send_signal(signal.SIGTERM)
        status = run.wait(60)
        if status != 0:
            raise AssertionError(f"stopped with {status}\n{run.said()}")


def numbers(first, last):
    return b"".join(b"%d\n" % number for number in range(first, last))


def values(lines):
    return sorted(int(value) for _, _, value in lines)


class Reading(unittest.TestCase):
    def test_a_bounded_job_reads_what_is_there_and_ends(self):
        for parallelism in (1, 2, 5):
            with Copy(f"bounded-{parallelism}", bounded=True, parallelism=parallelism) as copy:
                KAFKA.feed(copy.topic, numbers(0, 1000))
                status, run = copy.run()
                self.assertEqual(status, 0, run.said())
                lines = copy.lines()
                self.assertEqual(values(lines), list(range(1000)))
                for partition in range(3):
                    offsets = [o for p, o, _ in lines if p == partition]
                    self.assertEqual(offsets, sorted(offsets))
                self.assertEqual(KAFKA.committed(copy.topic, f"group-{copy.topic}"), [334, 333, 333])

    def test_an_empty_topic_ends_a_bounded_job(self):
        with Copy("empty", bounded=True) as copy:
            status, run = copy.run()
            self.assertEqual(status, 0, run.said())
            self.assertEqual(copy.lines(), [])

    def test_aborted_records_are_never_seen_and_markers_end_a_bounded_job(self):
        with Copy("aborted", bounded=True) as copy:
            KAFKA.transact(copy.topic, "t", epoch=1, records=30)
            KAFKA.transact(copy.topic, "t", epoch=2, records=30, end="abort")
            status, run = copy.run()  # the last record of each partition is aborted, then a marker
            self.assertEqual(status, 0, run.said())
            self.assertEqual(len(copy.lines()), 30)
            self.assertTrue(all(b'"epoch":1' in value for _, _, value in copy.lines()))
            positions = KAFKA.committed(copy.topic, f"group-{copy.topic}")
            ends = [partition["stable"] for partition in KAFKA.describe_topic(copy.topic)]
            self.assertEqual(positions, ends)  # behind the markers
            status, run = copy.run()
            self.assertEqual(status, 0, run.said())
            self.assertEqual(len(copy.lines()), 30)

    def test_an_open_transaction_is_waited_for(self):
        with Copy("open") as copy:
            KAFKA.feed(copy.topic, b"0\n1\n2\n")
            run = copy.start()
            copy.wait_for(3)
            with KAFKA.txn(copy.topic, "victim", epoch=2, end="open") as victim:
                victim.wait_line("open 2")
                KAFKA.feed(copy.topic, b"3\n4\n5\n")
                copy.wait_for_checkpoints(run, 5)
                self.assertEqual(len(copy.lines()), 3)
                victim.kill9()
            KAFKA.transact(copy.topic, "victim", end="init")
            self.assertEqual(values(copy.wait_for(6)), list(range(6)))
            copy.stop(run)

    def test_it_goes_on_where_it_stopped_or_was_killed(self):
        with Copy("resumed", parallelism=2) as copy:
            total = 0
            for round_ in range(8 if LONG else 4):
                KAFKA.feed(copy.topic, numbers(total, total + 500))
                total += 500
                run = copy.start(parallelism=1 + round_ % 3)
                if round_ % 2:
                    copy.wait_for(total - 500 + 1)
                    run.kill9()
                else:
                    copy.wait_for(total)
                    copy.stop(run)
            status, run = copy.run(bounded=True)
            self.assertEqual(status, 0, run.said())
            self.assertEqual(values(copy.lines()), list(range(total)))

    def test_positions_are_committed_to_the_group(self):
        with Copy("group", partitions=2) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            copy.wait_for(10)
            deadline = time.monotonic() + 10
            while KAFKA.committed(copy.topic, "group-group") != [5, 5]:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            KAFKA.feed(copy.topic, b"10\n")
            copy.wait_for(11)
            copy.stop(run)
            self.assertEqual(sum(KAFKA.committed(copy.topic, "group-group")), 11)

    def test_a_group_with_a_live_member_does_not_stop_the_job(self):
        """Somebody else uses the group: commits are refused, which is told, once."""
        with Copy("shared-group", partitions=1) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            with KAFKA.join(copy.topic, "group-shared-group") as member:
                member.wait_line("joined")
                run = copy.start()
                self.assertTrue(run.wait_line("positions are not committed to the group", errors=True))
                copy.wait_for(10)
                copy.wait_for_checkpoints(run, 5)
                told = sum("are not committed to the group" in line for line in run.errors)
                self.assertEqual(told, 1, run.said())
                copy.stop(run)

    def test_a_broker_restart_is_waited_for(self):
        with Copy("restart", parallelism=2, discovery_interval="200ms") as copy:
            KAFKA.feed(copy.topic, numbers(0, 100))
            run = copy.start()
            copy.wait_for(100)
            SHARED.kill9()
            self.assertTrue(run.wait_line("looking for new partitions", errors=True))  # in vain
            SHARED.restart()
            KAFKA.feed(copy.topic, numbers(100, 200))
            self.assertEqual(values(copy.wait_for(200)), list(range(200)))
            copy.stop(run)


class Denied(unittest.TestCase):
    """A broker that was frozen comes back, still takes itself for the leader, and has less than others."""

    def test_an_offset_that_exists_is_asked_for_again(self):
        with kafka_proxy.Proxy() as proxy, \
                broker.Broker("test-source-denied", settings=proxy.settings) as one:
            proxy.connect_to(int(one.bootstrap.split(":")[1]))
            kafka = kafka_tools.Kafka(proxy.address)
            kafka.create_topic("denied", partitions=3)
            with Copy("denied", partitions=0, brokers=proxy.address) as copy:
                run = copy.start()
                for round_ in range(5):
                    proxy.deny_fetches(3)
                    kafka.feed("denied", numbers(round_ * 100, round_ * 100 + 100))
                    copy.wait_for(round_ * 100 + 100)
                    while not proxy.idle():
                        self.assertIsNone(run.process.poll(), run.said())
                        time.sleep(0.02)
                copy.stop(run)
                self.assertEqual(values(copy.lines()), list(range(500)))
                self.assertIn("which exists: it is asked again", run.said())
                self.assertIn(" 0 restarts", run.said())
                self.assertEqual(proxy.denied_fetches, 15)


class Partitions(unittest.TestCase):
    def test_new_partitions_are_found_while_it_runs(self):
        with Copy("grown", partitions=1, parallelism=2, discovery_interval="200ms") as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            copy.wait_for(10)
            KAFKA.grow_topic(copy.topic, 4)
            KAFKA.feed(copy.topic, numbers(10, 50))
            self.assertEqual(values(copy.wait_for(50)), list(range(50)))
            self.assertTrue(run.wait_line("has grown to 4 partitions", errors=True))
            copy.stop(run)

    def test_partitions_made_while_it_is_down_are_read_from_their_start(self):
        with Copy("grown-down", partitions=1, from_latest=True) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            self.assertTrue(run.wait_line("completed in", errors=True))
            KAFKA.feed(copy.topic, numbers(10, 20))
            self.assertEqual(values(copy.wait_for(10)), list(range(10, 20)))  # from the end on
            copy.stop(run)
            KAFKA.grow_topic(copy.topic, 3)
            KAFKA.feed(copy.topic, numbers(20, 50))
            status, run = copy.run(bounded=True)
            self.assertEqual(status, 0, run.said())
            self.assertEqual(values(copy.lines()), list(range(10, 50)))


class Refusing(unittest.TestCase):
    def expect(self, copy, text, seconds=20, **options):
        begin = time.monotonic()
        status, run = copy.run(timeout_s=seconds + 60, **options)
        self.assertEqual(status, publisher.EXIT_CONNECTOR, run.said())
        self.assertRegex(run.errors[-1], text)
        self.assertLess(time.monotonic() - begin, seconds)

    def test_a_missing_topic_is_named(self):
        with Copy("nowhere", partitions=0) as copy:
            self.expect(copy, "topic 'nowhere' does not exist on brokers '127.0.0.1:.*make it with")

    def test_an_unreachable_broker_is_named(self):
        with Copy("unreachable", partitions=0, brokers="127.0.0.1:1", restart="none") as copy:
            self.expect(copy, "brokers '127.0.0.1:1'.*is the address right", seconds=30)

    def test_records_deleted_before_they_were_read_stop_the_job(self):
        with Copy("trimmed", partitions=2) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            copy.wait_for(10)
            copy.stop(run)
            KAFKA.feed(copy.topic, numbers(10, 30))
            KAFKA.trim_topic(copy.topic, 9)
            self.expect(copy, "topic 'trimmed', partition [01]: the checkpoint goes on at offset 5, but "
                              "the broker has 9 to 15. Records were deleted")

    def test_records_deleted_while_they_are_read_stop_the_job(self):
        with Copy("trimmed-live", partitions=1) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            copy.wait_for(10)
            run.freeze()  # the client has asked for more, and gets 4 MB at once
            KAFKA.feed(copy.topic, b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(10, 20000)))
            KAFKA.trim_topic(copy.topic, 19990)
            run.thaw()
            self.assertEqual(run.wait(60), publisher.EXIT_CONNECTOR, run.said())
            self.assertRegex(run.errors[-1], r"goes on at offset \d+, but the broker has 19990 to 20000")

    def test_a_topic_made_anew_stops_the_job(self):
        with Copy("anew", partitions=2) as copy:
            KAFKA.feed(copy.topic, numbers(0, 10))
            run = copy.start()
            copy.wait_for(10)
            copy.stop(run)
            KAFKA.delete_topic(copy.topic)
            KAFKA.create_topic(copy.topic, partitions=2)
            self.expect(copy, "goes on at offset 5, but the broker has 0 to 0")
            KAFKA.delete_topic(copy.topic)
            KAFKA.create_topic(copy.topic, partitions=1)
            self.expect(copy, "has 1 partition, but the checkpoint has a position in partition 1")

    def test_a_topic_deleted_while_it_is_read_stops_the_job(self):
        for bounded in (False, True):
            name = f"deleted-{bounded}"
            with Copy(name, discovery_interval="200ms") as copy:
                KAFKA.feed(copy.topic, numbers(0, 10))
                with KAFKA.txn(name, "holder", epoch=1, end="open") as holder:
                    holder.wait_line("open 1")
                    run = copy.start(bounded=bounded)
                    run.wait_line("completed in", errors=True)
                    KAFKA.delete_topic(name)
                    status = run.wait(60)
                    if bounded and status == 0:
                        continue  # it had read all that was stable
                    self.assertEqual(status, publisher.EXIT_CONNECTOR, run.said())
                    self.assertRegex(run.errors[-1], f"topic '{name}' does not exist")


class TopicToTopic(unittest.TestCase):
    def test_a_copy_is_exactly_once_through_kills(self):
        kills = 40 if LONG else 8
        KAFKA.create_topic("copied", partitions=4)
        with Copy("original", out_topic="copied", parallelism=2) as copy:
            KAFKA.feed_pairs(copy.topic, [(b"%d" % (i % 50), b"%d" % i) for i in range(20000)],
                             partitions="key-hash")
            with KAFKA.tail("copied", copy.directory / "dump") as tail:
                fed = 20000
                for kill in range(kills):
                    point = publisher.POINTS[kill % 6]
                    nth = 1 if point.startswith("kafka-init") else 1 + kill % 5  # that is passed once a start
                    run = copy.start(fault=f"{point}:{nth}:kill", parallelism=1 + kill % 3)
                    deadline = time.monotonic() + 60
                    while run.process.poll() is None and time.monotonic() < deadline:  # the n-th output needs input
                        KAFKA.feed_pairs(copy.topic,
                                         [(b"%d" % (i % 50), b"%d" % i) for i in range(fed, fed + 100)],
                                         partitions="key-hash")
                        fed += 100
                    self.assertEqual(run.wait(60), -9, run.said())
                status, run = copy.run(bounded=True)
                self.assertEqual(status, 0, run.said())
                records = tail.stop()
        self.assertEqual(sorted(int(r.value) for r in records), list(range(fed)))

    def test_null_and_empty_keys_and_values_arrive_as_they_were(self):
        pairs = [(None, None), (b"", b""), (b"k", None), (None, b"v"), (b"", None), (None, b""),
                 (bytes(range(256)), bytes(range(256))), (b"k", os.urandom(900000))]
        KAFKA.create_topic("bytes-copied", partitions=1)
        with Copy("bytes", partitions=1, out_topic="bytes-copied", bounded=True) as copy:
            KAFKA.feed_pairs(copy.topic, pairs)
            status, run = copy.run()
            self.assertEqual(status, 0, run.said())
            self.assertEqual([(r.key, r.value) for r in KAFKA.read("bytes-copied")], pairs)


if __name__ == "__main__":
    unittest.main(verbosity=2)
