"""What can be wrong with Kafka: nobody there, no topic, large records, a damaged checkpoint, lost positions.

What   userprofile from topics to topics on a real broker. Each run has a bounded time and ends by itself with
       the status of a connector's error, or the record is a dead letter; afterwards the right command goes
       on and the oracle finds its output exact.
How    One broker for all. The addresses where nobody answers need none: a port that is bound and does not
       listen, one that listens and never answers, a name that nobody has.
"""

import functools
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import kafka_tools  # noqa: E402
import program  # noqa: E402
from program import EXIT, ProgramTest  # noqa: E402

NOBODY_LIMIT_S = 60
LARGE = {"max.message.bytes": 8 << 20}
TOPICS = {"events": 2, "profiles": 2, "dead-letters": 1}


class Nobody(ProgramTest):
    def profile(self, address):
        return self.start("userprofile", "run", "--brokers", address, "--bounded")

    def test_a_start_that_reaches_no_broker_ends_soon_and_names_the_address_also_when_it_is_stopped(self):
        held, silent = socket.socket(), socket.socket()
        self.addCleanup(held.close)
        self.addCleanup(silent.close)
        held.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        addresses = [f"127.0.0.1:{held.getsockname()[1]}", f"127.0.0.1:{silent.getsockname()[1]}",
                     "nobody.invalid:9092"]
        runs = [self.profile(address) for address in addresses]
        stopped = self.profile(addresses[0])
        stopped.wait_for("brokers are down")
        result = stopped.end(signal.SIGTERM, NOBODY_LIMIT_S)
        self.assert_refused(result, EXIT["connector"], f"'{addresses[0]}'", "while it was stopped")
        for address, running in zip(addresses, runs):
            with self.subTest(address):
                self.assert_refused(running.end(limit_s=NOBODY_LIMIT_S), EXIT["connector"], f"'{address}'",
                                    "is the address right, is a broker running there?")


@functools.cache
def the_broker():
    """Started by the first test that needs it, for all of them."""
    return unittest.enterModuleContext(broker.Broker("bad-input"))


class OnABroker(ProgramTest):
    numbers = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        broker.or_skip(broker.require_tools)

    def setUp(self):
        """Topics of each test's own."""
        super().setUp()
        self.broker = the_broker()
        self.kafka = kafka_tools.Kafka(self.broker.bootstrap)
        number = next(self.numbers)
        self.topics = {name: f"{name}-{number}" for name in TOPICS}

    def create(self, *names):
        for name in names or TOPICS:
            self.kafka.create_topic(self.topics[name], partitions=TOPICS[name], config=LARGE)

    def argv(self, *options):
        return ("run", "--brokers", self.broker.bootstrap, "--events", self.topics["events"], "--profiles",
                self.topics["profiles"], "--dead-letters", self.topics["dead-letters"], "--checkpoints",
                self.checkpoints, "--emit-interval", "20ms", "--dedupe-ttl", "10000d", *options)

    def profile(self, *options):
        return program.run("userprofile", *self.argv("--bounded", "--metrics-json",
                                                     self.directory / "metrics.json", *options))

    def feed(self, count, seed=7):
        history = self.directory / f"in-{seed}"
        program.generate_events(history, count, files=1, seed=seed)
        self.kafka.feed(self.topics["events"], history / "events-0000.ndjson")

    def dump(self, name):
        path = self.directory / f"{name}.dump"
        with self.kafka.tail(self.topics[name], path) as tail:
            tail.stop()
        return path

    def assert_exact(self):
        self.assert_well(self.profile())
        metrics = program.oracle_metrics(self.directory / "metrics.json")
        argv = [sys.executable, program.ROOT / "test/oracle/verify.py", "--kafka", self.dump("events"),
                "--topic", self.topics["events"], "--profiles", self.dump("profiles"), "--dead-letters",
                self.dump("dead-letters"), "--metrics", metrics, "--dedupe-ttl", "10000d"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class WrongTopic(OnABroker):
    def test_a_topic_that_is_missing_is_named_with_the_command_that_makes_it(self):
        for name in ("events", "profiles", "dead-letters"):
            with self.subTest(name):
                topic = self.topics[name]
                result = self.profile()
                self.assert_ended(result, EXIT["connector"])
                missing = re.search(r"topic '([^']*)' does not exist on brokers '([^']*)'", result.err)
                self.assertIsNotNone(missing, result.err)
                self.assertEqual(missing.group(2), self.broker.bootstrap)
                name = missing.group(1).rpartition("-")[0]
                self.assert_refused(result, EXIT["connector"], f"--create --topic {self.topics[name]}")
                self.create(name)
        self.feed(1000)
        self.assert_exact()

    def test_records_that_are_too_large_empty_or_null_are_dead_letters(self):
        self.create()
        self.feed(500)
        event = b'{"event_id":"%s","ts":1700000000000,"ids":{"user":"big"},"type":"t","x":"%s"}'
        rest = (1 << 20) - len(event % (b"a", b""))
        values = [event % (b"a", b"x" * rest), event % (b"b", b"x" * (rest + 1)),
                  event % (b"c", b"x" * (3 << 20)), b"", None, b"\xff\xfe"]
        self.kafka.feed_pairs(self.topics["events"], [(b"key", value) for value in values])
        self.assert_exact()
        letters = b"".join(record.value for record in self.kafka.read(self.topics["dead-letters"]))
        self.assertEqual(letters.count(b'"reason":"too-large"'), 2)

    def test_a_topic_that_was_made_anew_stops_the_job_instead_of_being_read_from_anywhere(self):
        self.create()
        self.feed(1000)
        self.assert_well(self.profile())
        self.kafka.delete_topic(self.topics["events"])
        self.create("events")
        self.feed(10, seed=8)
        result = self.profile()
        self.assert_refused(result, EXIT["connector"], f"'{self.topics['events']}'", "offset")


class DamagedCheckpoint(OnABroker):
    """One byte of the newest checkpoint, in each kind of file: metadata, state, staged output."""

    def setUp(self):
        super().setUp()
        self.job = self.checkpoints / "userprofile"

    def damage(self, kind):
        """Flips a byte in a file that only the newest checkpoint has; returns its path."""
        checkpoints = program.checkpoints_of(self.job)
        newest = self.job / f"chk-{checkpoints[0]}" / "_metadata"
        own = program.files_of(self.job, checkpoints[0]) - program.files_of(self.job, checkpoints[1])
        own = [self.job / name for name in sorted(own)]
        # A staged segment is blocks of LZ4; what it stores of a profile begins with its yid.
        staged = [path for path in own if b'{"yid":' in path.read_bytes()]
        path = {"metadata": [newest], "state": [path for path in own if path not in staged],
                "staged": staged}[kind][0]
        program.flip_byte(path)
        return path

    def test_behind_published_output_nothing_older_goes_on_and_the_job_says_so(self):
        for kind in ("metadata", "state", "staged"):
            with self.subTest(kind):
                self.setUp()
                self.create()
                for seed in (1, 2):
                    self.feed(1500, seed)
                    self.assert_well(self.profile("--checkpoint-interval=1h"))
                ends = [self.kafka.describe_topic(topic) for topic in self.topics.values()]
                path = self.damage(kind)
                result = self.profile()
                self.assertIn("BROKEN, trying the one before: checkpoint=101 cause:", result.err)
                self.assertIn(str(path), result.err)
                self.assert_refused(result, EXIT["state"], "republish")
                self.assertEqual([self.kafka.describe_topic(topic) for topic in self.topics.values()], ends)
                self.assertIn("it may get duplicates", self.assert_well(self.profile("--republish")))
                self.assert_well(self.profile())

    def test_another_deployment_with_topics_of_its_own_is_no_trouble(self):
        self.create()
        self.feed(500)
        self.assert_well(self.profile())
        first = self.topics, self.checkpoints
        self.setUp()
        self.create()
        self.feed(300)
        self.assertNotIn("an earlier life", self.assert_well(self.profile()))
        self.topics, self.checkpoints = first
        self.feed(500, 2)
        self.assert_well(self.profile())

    def test_a_start_in_another_checkpoint_directory_says_that_output_is_written_again(self):
        self.create()
        self.feed(500)
        self.assertNotIn("an earlier life", self.assert_well(self.profile()))
        self.checkpoints = self.directory / "other"
        said = self.assert_well(self.profile())
        for name in ("profiles", "dead-letters"):
            self.assertIn(f"'{self.topics[name]}' has output of an earlier life of this job", said)

    def test_before_anything_of_it_is_published_an_older_one_goes_on_exactly(self):
        self.create()
        self.feed(30_000)
        running = self.start("userprofile", *self.argv("--checkpoint-interval=100ms"),
                             fault="notify-send-before:2:kill")
        self.assertEqual(running.end().status, -signal.SIGKILL)
        path = self.damage("staged")
        self.assert_exact()
        self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
