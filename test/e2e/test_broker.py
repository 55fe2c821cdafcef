#!/usr/bin/env python3
"""Tests of the test broker and its tools: before they judge the engine, they are judged here.

Run: python3 test/e2e/test_broker.py   (about half a minute; one broker shared by most tests)
Without Java, or without Maven and a fetched broker, all tests are skipped with a loud line; with
CI=true in the environment that is a failure instead.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import broker
import kafka_tools

SHARED = None  # the broker that most tests use
KAFKA = None  # its topics


def setUpModule():
    global SHARED, KAFKA
    broker.or_skip(broker.require_tools)
    SHARED = broker.Broker("test-broker").start()
    KAFKA = kafka_tools.Kafka(SHARED.bootstrap)


def tearDownModule():
    if SHARED is not None:
        SHARED.close()


def scratch(name):
    return SHARED.directory / name


def values(records, partition=None):
    return [r.value for r in records if partition is None or r.partition == partition]


def epochs(records):
    """{epoch: number of records} of what kafka_txn wrote."""
    counts = {}
    for record in records:
        epoch = json.loads(record.value)["epoch"]
        counts[epoch] = counts.get(epoch, 0) + 1
    return counts


def alive(pid):
    """Whether the process runs. A zombie is dead: its parent is only slow to notice."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except OSError:
        return False


def listening_addresses(pid):
    """The local addresses, in hex as the kernel prints them, on which a process listens."""
    links = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(fd))
        except OSError:
            pass  # closed meanwhile
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.append(fields[1].split(":")[0])
    return addresses


class RoundTrip(unittest.TestCase):
    def test_binary_keys_and_values_come_back_as_they_were(self):
        everything = bytes(range(256))
        pairs = [(None, None), (b"", b""), (b"k", None), (None, b"v"), (everything, everything),
                 (b"big", b"\x00\xff\n\t" * (1 << 18)), (b"\n", b"\r\n"),
                 (b"bigger", os.urandom((2 << 20) + 1))]
        KAFKA.create_topic("binary", config={"max.message.bytes": 4 << 20})
        summary = KAFKA.feed_pairs("binary", pairs)
        self.assertEqual(summary["acknowledged"], len(pairs))
        records = KAFKA.read("binary")
        self.assertEqual([(r.key, r.value) for r in records], pairs)
        self.assertEqual([r.offset for r in records], list(range(len(pairs))))

    def test_a_file_is_fed_line_by_line_and_can_be_continued(self):
        path = scratch("lines")
        path.write_bytes(b"".join(b"line %d\n" % i for i in range(1000)) + b"\nno line feed")
        KAFKA.create_topic("lines", partitions=3)
        first = KAFKA.feed("lines", path, count=500)
        self.assertEqual(first["next_line"], 500)
        second = KAFKA.feed("lines", path, from_line=first["next_line"])
        self.assertEqual((second["records"], second["next_line"]), (502, 1002))
        records = KAFKA.read("lines")
        lines = path.read_bytes().split(b"\n")
        for partition in range(3):
            self.assertEqual(values(records, partition), lines[partition::3])

    def test_the_same_key_goes_to_the_same_partition(self):
        KAFKA.create_topic("hashed", partitions=4)
        KAFKA.feed_pairs("hashed", [(b"%d" % (i % 9), b"%d" % i) for i in range(90)],
                         partitions="key-hash")
        homes = {(r.key, r.partition) for r in KAFKA.read("hashed")}
        self.assertEqual(len(homes), 9)
        self.assertGreater(len({partition for _, partition in homes}), 1)

    def test_the_digest_does_not_depend_on_partitions_but_on_every_byte(self):
        lines = b"".join(b"event %d\n" % i for i in range(5000))
        sums = {}
        for topic, partitions, text in (("sum1", 1, lines), ("sum5", 5, lines),
                                        ("sumx", 1, lines.replace(b"event 77\n", b"event 76\n"))):
            KAFKA.create_topic(topic, partitions=partitions)
            KAFKA.feed(topic, text)
            digest = KAFKA.digest(topic, checksum=True)
            self.assertEqual(digest["records"], 5000)
            sums[topic] = digest["checksum"]
        self.assertEqual(sums["sum1"], sums["sum5"])
        self.assertNotEqual(sums["sum1"], sums["sumx"])

    def test_the_rate_is_kept(self):
        KAFKA.create_topic("paced")
        summary = KAFKA.feed("paced", b"x\n" * 500, rate=1000)
        self.assertGreaterEqual(summary["seconds"], 0.49)
        self.assertLess(summary["seconds"], 5)

    def test_a_latency_counts_from_when_a_record_was_due_and_of_each_record_once(self):
        KAFKA.create_topic("itself", partitions=2)
        found = KAFKA.latency("itself", "itself", rate=1000, warm=0, seconds=1)  # nobody needs to copy
        self.assertEqual(found["records"], 1000)
        self.assertLessEqual(found["p50_ms"], found["p99_ms"])
        self.assertLessEqual(found["p99_ms"], found["max_ms"])
        self.assertLess(0, found["p50_ms"])
        with self.assertRaisesRegex(kafka_tools.ToolError, "a record of another run is in 'itself'"):
            KAFKA.latency("itself", "itself", rate=1000, warm=0, seconds=1)

    def test_a_latency_without_a_copier_is_an_error_in_bounded_time(self):
        KAFKA.create_topic("from")
        KAFKA.create_topic("to")
        with self.assertRaisesRegex(kafka_tools.ToolError, "not copied within 1 s|are back, and no more for 1 s"):
            KAFKA.latency("from", "to", timeout=1)

    def test_a_record_over_the_topics_limit_fails_the_feed_and_is_named(self):
        KAFKA.create_topic("small", config={"max.message.bytes": 1000})
        with self.assertRaisesRegex(kafka_tools.ToolError, "1 records .* line 1: .*too large"):
            KAFKA.feed("small", b"short\n" + b"x" * 5000 + b"\n", rate=10)
        self.assertEqual(values(KAFKA.read("small")), [b"short"])


class Topics(unittest.TestCase):
    def test_topics_are_created_grown_described_and_deleted(self):
        KAFKA.create_topic("grown", partitions=2)
        with self.assertRaisesRegex(kafka_tools.ToolError, "already exists"):
            KAFKA.create_topic("grown", partitions=2)
        KAFKA.create_topic("grown", partitions=2, if_not_exists=True)
        KAFKA.feed("grown", b"a\nb\nc\n")
        KAFKA.grow_topic("grown", 3)
        ends = [(p["low"], p["high"], p["stable"]) for p in KAFKA.describe_topic("grown")]
        self.assertEqual(ends, [(0, 2, 2), (0, 1, 1), (0, 0, 0)])
        KAFKA.delete_topic("grown")
        with self.assertRaisesRegex(kafka_tools.ToolError, "does not exist"):
            KAFKA.describe_topic("grown")

    def test_a_topic_that_does_not_exist_is_an_error_for_every_tool(self):
        calls = (lambda: KAFKA.feed("nowhere", b"x\n"), lambda: KAFKA.read("nowhere"),
                 lambda: KAFKA.digest("nowhere"), lambda: KAFKA.transact("nowhere", "id"),
                 lambda: KAFKA.describe_topic("nowhere"))
        for call in calls:
            with self.assertRaisesRegex(kafka_tools.ToolError, "'nowhere' does not exist"):
                call()

    def test_a_tail_notices_new_partitions_and_a_deleted_topic(self):
        KAFKA.create_topic("tailed", partitions=1)
        with KAFKA.tail("tailed", scratch("tailed"), refresh_ms=100) as tail:
            KAFKA.feed("tailed", b"one\n")
            tail.wait_for(1)
            KAFKA.grow_topic("tailed", 2)
            KAFKA.feed("tailed", b"two\n", partitions=1)
            self.assertEqual(sorted(values(tail.wait_for(2))), [b"one", b"two"])
            KAFKA.feed("tailed", b"".join(b"%d\n" % i for i in range(20000)))
            self.assertEqual(len(tail.stop()), 20002)
        with KAFKA.tail("tailed", scratch("tailed"), refresh_ms=100) as tail:
            tail.wait_for(20002)
            KAFKA.delete_topic("tailed")
            self.assertEqual(tail.process.wait(30), 1)


class Transactions(unittest.TestCase):
    def test_readers_of_committed_data_never_see_what_was_aborted(self):
        KAFKA.create_topic("aborted", partitions=3)
        KAFKA.transact("aborted", "t1", epoch=1, records=30)
        KAFKA.transact("aborted", "t1", epoch=2, records=30, end="abort")
        KAFKA.transact("aborted", "t1", epoch=3, epochs=2, records=30)
        self.assertEqual(epochs(KAFKA.read("aborted")), {1: 30, 3: 30, 4: 30})
        everything = KAFKA.read("aborted", isolation="read_uncommitted")
        self.assertEqual(epochs(everything), {1: 30, 2: 30, 3: 30, 4: 30})

    def test_an_open_transaction_hides_itself_and_what_follows_until_it_is_fenced(self):
        KAFKA.create_topic("open", partitions=2)
        KAFKA.transact("open", "before", epoch=1)
        with KAFKA.txn("open", "victim", epoch=2, end="open") as victim:
            victim.wait_line("open 2")
            KAFKA.transact("open", "after", epoch=3)
            self.assertEqual(epochs(KAFKA.read("open", until="end")), {1: 10})
            with self.assertRaisesRegex(kafka_tools.ToolError, "read up to offset"):
                KAFKA.read("open", until="high", timeout=1)
            for partition in KAFKA.describe_topic("open"):
                self.assertLess(partition["stable"], partition["high"])
            victim.kill9()
        KAFKA.transact("open", "victim", end="init")
        self.assertEqual(epochs(KAFKA.read("open")), {1: 10, 3: 10})

    def test_a_fenced_producer_cannot_commit(self):
        KAFKA.create_topic("fenced")
        with KAFKA.txn("fenced", "id", epochs=1000, records=1000) as old:
            old.wait_line("committed 3")
            KAFKA.transact("fenced", "id", epoch=5000)
            self.assertEqual(old.process.wait(30), 1)
        seen = epochs(KAFKA.read("fenced"))
        self.assertEqual(seen.pop(5000), 10)
        self.assertEqual(set(seen.values()), {1000})

    def test_a_killed_producer_leaves_whole_transactions_only(self):
        KAFKA.create_topic("killed", partitions=2)
        with KAFKA.txn("killed", "id", epochs=1000, records=500) as txn:
            txn.wait_line("begun 5")
            txn.kill9()
        KAFKA.transact("killed", "id", end="init")
        seen = epochs(KAFKA.read("killed"))
        self.assertEqual(set(seen.values()), {500})
        self.assertLessEqual({1, 2, 3, 4}, set(seen))


class Faults(unittest.TestCase):
    def test_a_killed_broker_keeps_its_data_and_its_clients(self):
        path = scratch("faults")
        path.write_bytes(b"".join(b"%d\n" % i for i in range(30000)))
        KAFKA.create_topic("faults", partitions=2)
        address = SHARED.bootstrap
        with KAFKA.tail("faults", scratch("faults.tail")) as tail:
            feed = KAFKA.start_feed("faults", path, rate=10000)
            tail.wait_for(5000)
            SHARED.kill9()
            self.assertFalse(SHARED.running())
            SHARED.restart()
            output, _ = feed.communicate(timeout=60)
            self.assertEqual(feed.returncode, 0)
            self.assertEqual(json.loads(output)["acknowledged"], 30000)
            records = tail.stop()
        self.assertEqual(SHARED.bootstrap, address)
        for partition in range(2):
            expected = [b"%d" % i for i in range(partition, 30000, 2)]
            self.assertEqual(values(records, partition), expected)
        self.assertEqual(sorted(KAFKA.read("faults")), sorted(records))

    def test_a_stopped_broker_keeps_its_data(self):
        KAFKA.create_topic("stopped")
        KAFKA.feed("stopped", b"kept\n")
        SHARED.stop()
        SHARED.restart()
        self.assertEqual(values(KAFKA.read("stopped")), [b"kept"])

    def test_a_frozen_broker_holds_clients_up_but_loses_nothing(self):
        KAFKA.create_topic("frozen")
        SHARED.pause()
        path = scratch("frozen")
        path.write_bytes(b"late\n")
        feed = KAFKA.start_feed("frozen", path)
        time.sleep(1)
        self.assertIsNone(feed.poll())
        SHARED.resume()
        feed.communicate(timeout=60)
        self.assertEqual(feed.returncode, 0)
        self.assertEqual(values(KAFKA.read("frozen")), [b"late"])

    def test_a_feed_that_cannot_finish_says_so_in_bounded_time(self):
        KAFKA.create_topic("stuck")
        SHARED.pause()
        try:
            with self.assertRaisesRegex(kafka_tools.ToolError, "no metadata|not acknowledged"):
                KAFKA.feed("stuck", b"x\n", timeout=2)
        finally:
            SHARED.resume()

    def test_three_brokers_go_on_when_one_is_killed(self):
        with broker.Cluster("test-cluster") as cluster:
            kafka = kafka_tools.Kafka(cluster.bootstrap)
            kafka.create_topic("shared", partitions=6)
            kafka.transact("shared", "id", epoch=1, records=60)
            cluster.kill9(2)
            kafka.transact("shared", "id", epoch=2, records=60)
            cluster.restart(2)
            cluster.kill9(3)
            self.assertEqual(epochs(kafka.read("shared")), {1: 60, 2: 60})


class Lifetime(unittest.TestCase):
    def test_it_listens_on_the_loopback_address_only(self):
        addresses = listening_addresses(SHARED.pid())
        self.assertEqual(len(addresses), 2)
        for address in addresses:
            self.assertIn(address, ("0100007F", "0000000000000000FFFF00000100007F"))

    def test_a_name_in_use_is_refused(self):
        with self.assertRaisesRegex(broker.BrokerError, "another run uses this directory"):
            broker.Broker("test-broker").start()
        self.assertTrue(SHARED.running())

    def test_a_broker_that_cannot_start_tells_why(self):
        with self.assertRaisesRegex(broker.BrokerError, "num.io.threads"):
            broker.Broker("test-broken", settings={"num.io.threads": "none"}).start()

    def test_a_broker_that_does_not_become_ready_is_given_up(self):
        begin = time.monotonic()
        late = broker.Broker("test-late", start_timeout_s=0.2)
        with self.assertRaisesRegex(broker.BrokerError, "was not ready in 0.2 s"):
            late.start()
        self.assertLess(time.monotonic() - begin, 15)

    def test_a_broker_outlives_the_thread_that_restarted_it(self):
        SHARED.stop()
        thread = threading.Thread(target=SHARED.restart)
        thread.start()
        thread.join()
        time.sleep(0.3)
        self.assertTrue(SHARED.running())

    def test_the_port_stays_reserved_while_the_broker_is_down(self):
        port = int(SHARED.bootstrap.split(":")[1])
        SHARED.kill9()
        with socket.socket() as other:
            self.assertRaises(OSError, other.bind, ("127.0.0.1", port))
        SHARED.restart()

    def test_no_broker_outlives_its_test(self):
        program = ("import sys, time; sys.path.insert(0, sys.argv[1]); import broker\n"
                   "with broker.Broker('test-orphan') as one:\n"
                   "    print(one.pid(), flush=True); time.sleep(60)\n")
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                test = broker.spawn([sys.executable, "-c", program, broker.HERE],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                pid = int(test.stdout.readline())
                self.assertTrue(alive(pid))
                test.send_signal(number)
                test.wait(30)
                test.stdout.close()
                deadline = time.monotonic() + 10
                while alive(pid) and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertFalse(alive(pid))


if __name__ == "__main__":
    unittest.main(verbosity=2)
