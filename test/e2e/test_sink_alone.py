#!/usr/bin/env python3
"""The Kafka sink alone, killed at every step, with a real broker and a reader that never stops.

Run: python3 test/e2e/test_sink_alone.py   (some two minutes; WEIR_TEST_LONG=1: some six)

What is judged is always the same (publisher.Output.judge): a read_committed reader that ran all the time
saw every record exactly once, in order per partition and unit, each transaction whole, none missing.
"""

import os
import random
import sys
import threading
import time
import unittest

import broker
import kafka_proxy
import kafka_tools
import publisher

LONG = bool(os.environ.get("WEIR_TEST_LONG"))
SHARED = None  # the broker that most tests use
KAFKA = None  # its topics


def setUpModule():
    global SHARED, KAFKA
    broker.or_skip(broker.require_tools)
    publisher.build()
    SHARED = broker.Broker("test-sink").start()
    KAFKA = kafka_tools.Kafka(SHARED.bootstrap)


def tearDownModule():
    if SHARED is not None:
        SHARED.close()


def output(name, **options):
    return publisher.Output(KAFKA, name, SHARED.directory / "work", **options)


def report(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def kill_somewhere(out, chance, **options):
    """One life that ends by SIGKILL: at a fault point, or at any moment. Returns where."""
    if chance.random() < 0.75:
        point = chance.choice(publisher.POINTS)
        life = out.start(fault=f"{point}:{chance.randint(1, 6)}:kill", **options)
        if not life.wait_line("complete", count=200):
            return point if life.wait() == -9 else fail(life)
    else:
        life = out.start(**options)
        if life.wait_line("attempt"):
            time.sleep(chance.random() * 0.6)
    life.kill9()
    return "anywhere"


def fail(life):
    raise AssertionError(f"the publisher ended with {life.process.returncode}:\n{life.said()}")


class Killed(unittest.TestCase):
    def test_nothing_is_lost_or_doubled_by_kills_anywhere(self):
        kills, where = (100 if LONG else 45), {}
        with output("killed", give_up=20) as out:
            for _ in range(kills):
                place = kill_somewhere(out, out.random)
                where[place] = where.get(place, 0) + 1
            out.finish()
            report(f"{kills} kills ({', '.join(f'{v} {k}' for k, v in sorted(where.items()))}): {out.judge()}")

    def test_a_segment_of_many_transactions_goes_on_where_it_stopped(self):
        kills = 12 if LONG else 6
        with output("chunks", records=200, chunk_size=2000, units=2) as out:
            for _ in range(kills):
                point = out.random.choice(("kafka-produce-after", "kafka-commit-before", "kafka-commit-after"))
                life = out.start(fault=f"{point}:{out.random.randint(1, 30)}:kill")
                self.assertEqual(life.wait(), -9, life.said())
            out.finish()
            report(f"{kills} kills between transactions of a segment: {out.judge(units=False)}")

    def test_another_parallelism_finishes_what_the_old_one_left(self):
        rounds = 4 if LONG else 2
        with output("rescaled") as out:
            for _ in range(rounds):
                for parallelism in (2, 3, 1):
                    life = out.start(parallelism=parallelism, fault="kafka-commit-before:5:kill")
                    self.assertEqual(life.wait(), -9, life.said())
                    kill_somewhere(out, out.random, parallelism=parallelism)
            out.finish(parallelism=2)
            report(f"{rounds * 6} kills at parallelism 2, 3, 1: {out.judge()}")


class Zombies(unittest.TestCase):
    def test_a_publisher_that_wakes_up_inside_a_commit_can_do_no_harm(self):
        count = 12 if LONG else 4
        fenced = 0
        with output("zombies") as out:
            for _ in range(count):
                point = out.random.choice(("kafka-commit-before", "kafka-commit-before", "kafka-produce-after",
                                           "kafka-judge-after", "kafka-commit-after"))
                old = out.start(fault=f"{point}:{out.random.randint(2, 8)}:stall-700")
                self.assertTrue(old.wait_line("stalled for", errors=True), old.said())
                old.freeze()
                new = out.start()
                self.assertTrue(new.wait_line("complete", count=out.random.randint(1, 4)), new.said())
                old.thaw()
                status = old.wait()
                self.assertEqual(status, publisher.EXIT_FENCED, old.said())
                fenced += 1
                if out.random.random() < 0.5:
                    self.assertTrue(new.wait_line("published", count=2), new.said())
                new.kill9()
            out.finish()
            report(f"{fenced} zombies, all of them fenced: {out.judge()}")


class Broker(unittest.TestCase):
    def test_a_broker_that_dies_is_waited_for(self):
        kills = 6 if LONG else 2
        with output("broker", interval_ms=50) as out:
            life = out.start()
            for number in range(kills):
                self.assertTrue(life.wait_line("published", count=3 * number + 2), life.said())
                time.sleep(out.random.random() * 0.3)
                SHARED.kill9()
                SHARED.restart()
            self.assertTrue(life.wait_line("published", count=3 * kills + 2), life.said())
            life.kill9()
            out.finish()
            report(f"{kills} broker kills: {out.judge()}")

    def test_missing_topics_and_brokers_are_told_in_bounded_time(self):
        with output("missing") as out:
            begin = time.monotonic()
            out.topic = "misspelled"
            status, life = out.run()
            self.assertEqual(status, publisher.EXIT_CONNECTOR)
            self.assertIn("topic 'misspelled' does not exist", life.said())
            self.assertNotIn("(retriable)", life.said())
            self.assertLess(time.monotonic() - begin, 15)
            begin = time.monotonic()
            out.bootstrap = "127.0.0.1:1"
            status, life = out.run()
            self.assertEqual(status, publisher.EXIT_CONNECTOR)
            self.assertRegex(life.said(), "brokers '127.0.0.1:1'.*is the address right.*retriable")
            self.assertLess(time.monotonic() - begin, 30)


class Refused(unittest.TestCase):
    def test_what_the_topic_would_refuse_is_refused_when_staged(self):
        with output("huge", config={"max.message.bytes": 20000}) as out:
            status, life = out.run(epochs=4, huge_at=2)
            self.assertEqual(status, 0, life.said())
            self.assertEqual(life.lines.count("dead-letter too-large"), publisher.UNITS)

    def test_small_records_pass_a_small_limit_together(self):
        """max.message.bytes is a limit of batches, and these travel in one."""
        with output("small", records=300, partitions=1, config={"max.message.bytes": 2000}) as out:
            out.finish()
            report(f"topic that takes 2000 bytes at once: {out.judge()}")

    def test_a_compacted_topic_takes_no_record_without_key(self):
        with output("compacted", config={"cleanup.policy": "compact"}) as out:
            status, life = out.run(epochs=1, keyless=True)
            self.assertEqual(status, 0, life.said())
            self.assertEqual(life.lines.count("dead-letter no-key"),
                             publisher.UNITS * publisher.RECORDS)
            out.finish()
            records = out.tail.stop()  # of the two epochs behind the first
            self.assertEqual(len(records), 2 * publisher.UNITS * publisher.RECORDS)

    def test_a_limit_lowered_behind_our_back_stops_the_job_and_names_the_record(self):
        with output("lowered", size=3000) as out:
            life = out.start(fault="notify-receive-before:3:kill")
            self.assertEqual(life.wait(), -9)
            KAFKA.delete_topic("lowered")
            KAFKA.create_topic("lowered", partitions=3, config={"max.message.bytes": 1000})
            begin = time.monotonic()
            status, life = out.run()
            self.assertEqual(status, publisher.EXIT_CONNECTOR, life.said())
            self.assertRegex(life.said(), r"topic 'lowered', a record of 30\d\d bytes with the key "
                                          r"'\d-\d-\d'.*too large")
            self.assertNotIn("(retriable)", life.said())
            self.assertLess(time.monotonic() - begin, 20)


class Restored(unittest.TestCase):
    def test_an_older_checkpoint_stops_unless_duplicates_are_accepted(self):
        with output("older") as out:
            first = out.start()
            first.wait_line("published", count=2)
            checkpoint = [line for line in first.lines if line.startswith("complete")][0].split()[1]
            first.wait_line("published", count=4)
            first.kill9()
            out.go_back(checkpoint)
            status, life = out.run()
            self.assertEqual(life.lines[0].split()[-1], checkpoint)
            self.assertEqual(status, publisher.EXIT_STATE, life.said())
            self.assertRegex(life.said(), r"topic 'older' already has output of checkpoint \d+ .*"
                                          r"restored checkpoint's output ends at \d+")
            status, life = out.run()  # not by trying again
            self.assertEqual(status, publisher.EXIT_STATE, life.said())
            out.finish(republish=True)
            self.assertLessEqual(set(out.expected()), {r.key.decode() for r in out.tail.stop()})

    def test_after_republishing_it_is_exactly_once_again(self):
        """From before the first output, with slots that the checkpoint does not know."""
        with output("again") as out:
            first = out.start(parallelism=1)
            first.wait_line("published", count=2)
            checkpoint = [line for line in first.lines if line.startswith("complete")][0].split()[1]
            first.kill9()
            second = out.start(parallelism=3)
            second.wait_line("published", count=3)
            second.kill9()
            out.go_back(checkpoint)
            status, life = out.run(parallelism=3)
            self.assertEqual(status, publisher.EXIT_STATE, life.said())
            third = out.start(parallelism=3, republish=True)
            self.assertTrue(third.wait_line("published", count=2), third.said())
            third.kill9()
            time.sleep(0.5)
            before = len(out.tail.records())
            for _ in range(3):
                self.assertEqual(out.start(parallelism=3, fault="kafka-commit-after:4:kill").wait(), -9)
            out.finish(parallelism=3)
            keys = [record.key.decode() for record in out.tail.stop()]
            self.assertLessEqual(set(out.expected()), set(keys))
            doubled = len(keys) - len(set(keys))
            self.assertGreater(doubled, 0)
            self.assertLess(doubled, before)  # only what was out before the republishing life

    def test_a_lost_token_topic_stops_the_job(self):
        with output("lost") as out:
            first = out.start()
            first.wait_line("published", count=3)
            first.kill9()
            KAFKA.delete_topic("tokens-lost")
            status, life = out.run()
            self.assertEqual(status, publisher.EXIT_STATE, life.said())
            self.assertRegex(life.said(), "progress token in topic 'tokens-lost', partition 0, is missing")
            out.finish(republish=True)
            self.assertLessEqual(set(out.expected()), {r.key.decode() for r in out.tail.stop()})

    def test_a_token_topic_that_forgets_is_refused(self):
        with output("forgetful") as out:
            KAFKA.create_topic("tokens-forgetful", partitions=2)
            status, life = out.run()
            self.assertEqual(status, publisher.EXIT_CONNECTOR, life.said())
            self.assertIn("set its cleanup.policy to compact", life.said())


class GivenUp(unittest.TestCase):
    def test_checkpoints_that_fail_in_a_row_do_not_stop_the_sink(self):
        with output("given-up") as out:
            life = out.start(give_up=100, interval_ms=1)
            status = life.wait(60)
            self.assertEqual(status, 18, life.said())
            self.assertRegex(life.said(), r"of 64 checkpoints in a row waits.*retriable")
            out.finish(give_up=80)
            report(f"4 of 5 checkpoints given up: {out.judge()}")


class AutoCreated(unittest.TestCase):
    """A broker as it comes: asking for a topic makes it."""

    def test_no_topic_is_made_by_asking_and_tokens_are_compacted(self):
        with broker.Broker("test-sink-auto", settings={"auto.create.topics.enable": "true"}) as one:
            kafka = kafka_tools.Kafka(one.bootstrap)
            with publisher.Output(kafka, "auto", one.directory / "work", token_topic=None) as out:
                out.topic = "misspelled"
                status, life = out.run()
                self.assertEqual(status, publisher.EXIT_CONNECTOR, life.said())
                self.assertIn("topic 'misspelled' does not exist", life.said())
                out.topic = "auto"
                out.finish()  # would refuse tokens that expire
                out.judge()
                self.assertEqual(len(kafka.describe_topic("weir-tokens-publisher-out-auto")), 2)


@unittest.skipUnless(LONG, "WEIR_TEST_LONG=1 runs it")
class Idle(unittest.TestCase):
    def test_a_transactional_id_that_expired_is_no_trouble(self):
        settings = {"transactional.id.expiration.ms": 2000, "producer.id.expiration.ms": 2000,
                    "producer.id.expiration.check.interval.ms": 500,
                    "transaction.remove.expired.transaction.cleanup.interval.ms": 500}
        with broker.Broker("test-sink-idle", settings=settings) as one:
            kafka = kafka_tools.Kafka(one.bootstrap)
            with publisher.Output(kafka, "idle", one.directory / "work") as out:
                for _ in range(6):
                    life = out.start(fault="kafka-commit-before:2:stall-8000")  # open, then expired
                    self.assertTrue(life.wait_line("published", count=3), life.said())
                    life.kill9()
                    time.sleep(6)  # idle, then expired
                life = out.start(interval_ms=5000, epochs=1)  # expires while it runs
                self.assertEqual(life.wait(), 0, life.said())
                out.finish()
                report(f"idle ids expired: {out.judge()}")


@unittest.skipUnless(LONG, "WEIR_TEST_LONG=1 runs it")
class ThreeBrokers(unittest.TestCase):
    def test_brokers_that_die_or_freeze_in_turn_lose_and_double_nothing(self):
        """Leaders and coordinators move; a frozen one comes back and answers from what it knew."""
        rounds, kills = 12, 0
        with broker.Cluster("test-sink-cluster") as cluster:
            kafka = kafka_tools.Kafka(cluster.bootstrap)
            with publisher.Output(kafka, "cluster", cluster.directory / "work", interval_ms=100) as out:
                life = out.start()
                for round_ in range(rounds):
                    node = out.random.randint(1, 3)
                    if round_ % 2:
                        cluster.kill9(node)
                        time.sleep(out.random.uniform(0, 4))
                        cluster.restart(node)
                    else:
                        cluster.pause(node)
                        time.sleep(out.random.uniform(1, 8))
                        cluster.resume(node)
                    if out.random.random() < 0.5:
                        life.kill9()
                        kills += 1
                        life = out.start()
                    seen = life.lines.count("published")
                    while not life.wait_line("published", count=seen + 2, timeout_s=150):
                        self.assertIn("(retriable)", life.said())  # the engine would restart the job
                        life = out.start()
                        seen = 0
                life.kill9()
                out.finish()
                report(f"three brokers, {rounds} kills and freezes of one, {kills} of the publisher: "
                       f"{out.judge()}")


class LostReplies(unittest.TestCase):
    def proxied(self, name, run, **options):
        with kafka_proxy.Proxy() as proxy, \
                broker.Broker(f"test-sink-{name}", settings=proxy.settings) as one:
            proxy.connect_to(int(one.bootstrap.split(":")[1]))
            kafka = kafka_tools.Kafka(proxy.address)
            with publisher.Output(kafka, name, one.directory / "work", **options) as out:
                run(proxy, out)
                out.finish()
                report(f"{name}: {proxy.lost_replies} replies lost, {proxy.late_commits} commits late: "
                       f"{out.judge(units=False)}")

    def test_commits_whose_reply_is_lost_are_not_done_twice(self):
        rounds = 10 if LONG else 3

        def run(proxy, out):
            for _ in range(rounds):
                life = out.start()
                self.assertTrue(life.wait_line("published"), life.said())
                proxy.lose_replies(out.random.randint(1, 4))
                self.assertTrue(life.wait_line("complete", count=8), life.said())
                if out.random.random() < 0.5:
                    self.assertTrue(life.wait_line("published", count=3), life.said())
                life.kill9()
        self.proxied("lost-replies", run, records=20)

    def test_a_commit_that_arrives_late_commits_nothing_else(self):
        """It reaches the broker while the next transaction has records, but not its token yet."""
        rounds = 12 if LONG else 4
        options = {"parallelism": 1, "units": 2, "records": 100, "chunk_size": 500}

        def run(proxy, out):
            for round_ in range(rounds):
                nth = out.random.randint(3, 30)
                claims = 1 if round_ else 0  # the token of the life before, taken over
                proxy.hold_commit(nth - 1 + claims, out.random.uniform(0.3, 0.6))
                life = out.start(fault=f"kafka-produce-after:{nth}:stall-5000")
                self.assertTrue(life.wait_line("stalled for", errors=True), life.said())
                time.sleep(0.8)
                life.kill9()  # what the late commit did is not undone by going on
        self.proxied("late-commits", run, **options)


if __name__ == "__main__":
    unittest.main(verbosity=2)
