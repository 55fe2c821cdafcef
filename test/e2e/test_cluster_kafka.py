"""Jobs on a cluster, from a real Kafka to a real Kafka: every record exactly once, whoever is killed.

What   Of two pipelines in one job, which share nothing, the worker of one is killed: it restarts alone, the other one
       goes on, and both outputs are exact. And the main job: generated events flow into a topic while userprofile runs
       with parallelism 4 on two task managers, under two job managers. Workers, task managers and the leader are
       killed and frozen, drawn from a seed; between two leaders the job goes on reading. Readers with read_committed
       watch the outputs all the time. And what is read of a crash names the place in the topic.
How    At the end the main job is stopped with a savepoint, and a bounded run from there reads the rest in one process;
       the oracle, which knows nothing of the engine, compares final profiles, dead letters and fragments.
       WEIR_TEST_LONG=1: more events, more kills.
"""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import chaos  # noqa: E402
import cluster  # noqa: E402
import kafka_tools  # noqa: E402
import program  # noqa: E402
from seed import SEED  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
COUNT = 600_000 if IS_LONG else 60_000
KILLS = 60 if IS_LONG else 8
PIPED = 100_000 if IS_LONG else 20_000
PIPED_RATE = 4000
KILLED = 12 if IS_LONG else 2
TTL = "10000d"
BIG = {"max.message.bytes": 4 << 20}
TOPICS = {"events": 4, "profiles": 3, "dead-letters": 2, "fragments": 2}


def run(*argv):
    done = subprocess.run([os.fspath(part) for part in argv], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


SHARED = None  # the broker


def setUpModule():
    global SHARED
    broker.or_skip(broker.require_tools)
    SHARED = unittest.enterModuleContext(broker.Broker("cluster", heap_mb=384))


class Pipelines(cluster.ClusterTest):
    """jobs/steady.c with two of them, each on a task manager and in a region of its own."""

    def setUp(self):
        super().setUp()
        self.kafka = kafka_tools.Kafka(SHARED.bootstrap)
        for topic in ("in", "in-1", "out", "out-1"):
            self.kafka.create_topic(topic, partitions=2)
        self.lines = self.directory / "lines"
        self.lines.write_text("".join(f'{{"index":{i},"key":{i % 97},"pad":""}}\n' for i in range(PIPED)))

    def test_the_worker_of_one_is_killed_and_the_other_one_goes_on(self):
        tails = {topic: self.enterContext(self.kafka.tail(topic, self.directory / f"{topic}.dump"))
                 for topic in ("out", "out-1")}
        one = self.cluster(slots=1, settings=cluster.PATIENT)
        job = one.submit("steady", "--brokers", SHARED.bootstrap, "--pipelines", 2, "--tell", "--checkpoints",
                         self.checkpoints, "--checkpoint-interval", "100ms", "--min-pause", "20ms", "--restart-delay",
                         "1s", "--restart-delay-max", "2s")
        job.wait("RUNNING")
        feeds = [self.enterContext(self.kafka.start_feed(topic, self.lines, rate=PIPED_RATE))
                 for topic in ("in", "in-1")]
        moved = [self.kill_one(one, job, nth) for nth in range(KILLED)]
        self.assertGreater(max(moved), 0, one.logs())
        self.assertEqual(one.worker_logs(job, 2), [])  # all of it was one attempt
        self.assertEqual([feed.wait(chaos.END_LIMIT_S) for feed in feeds], [0, 0])
        for tail in tails.values():
            tail.wait_for(PIPED)
        job.stop(self.directory / "savepoints")
        for tail in tails.values():
            parts = {}
            for record in tail.stop():
                parts.setdefault(record.partition, []).append(record.value)
            self.assertEqual(program.judge_steady(parts, PIPED), PIPED)

    def kill_one(self, one, job, nth):
        """How far the other one has come while it was away."""
        job.wait_checkpoints()
        before, restarts = one.workers(job=job), job.restarts()
        victim, witness = sorted(before)[::1 if nth % 2 == 0 else -1]
        log = pathlib.Path(os.readlink(f"/proc/{witness}/fd/2"))
        one.wait_until("records flow", lambda: "reached " in log.read_text())
        cluster.hurt(victim)
        one.wait_until("the job has noticed", lambda: job.restarts() > restarts)
        at = [log.read_text().count("reached ")]

        def runs_again():
            count = log.read_text().count("reached ")
            if job.state() == "RUNNING":
                return True
            at.append(count)
            return False
        one.wait_until("all of it runs again", runs_again)
        failure = job.get("/exceptions")["exceptionHistory"]["entries"][0]
        self.assertEqual(failure["failureLabels"], {"restarted-tasks": "2 of 4"}, one.logs())
        after = one.workers(job=job)
        self.assertIn(witness, after)
        self.assertNotIn(victim, after)
        return at[-1] - at[0]


class Crash(cluster.ClusterTest):
    AT = 700

    def test_a_crash_says_from_which_partitions_and_offsets_its_record_is(self):
        kafka = kafka_tools.Kafka(SHARED.bootstrap)
        kafka.create_topic("rogue", partitions=2)
        kafka.feed("rogue", b"".join(b'{"index":%d}\n' % i for i in range(1000)))
        (place,) = ((it.partition, it.offset) for it in kafka.read("rogue") if it.value == b'{"index":%d}' % self.AT)
        one = self.cluster(task_managers=1, slots=1)
        batch = self.places(one, "abort", r"operator 'commit' \(1/1\), at or before record \d+ of this attempt: ")
        self.assertIn(place, batch)
        self.assertLessEqual(len(batch), 256)
        alone = self.places(one, "decode", r"source 'ticks-0' \(1/1\)(, behind record \d+ of this attempt)?: ")
        self.assertEqual(alone, [place])

    def places(self, one, crime, who):
        """All (partition, offset) that the last words name."""
        job = one.submit("rogue", "--crime", crime, "--at", self.AT, "--brokers", SHARED.bootstrap, "--output",
                         self.directory / crime, "--restart", "none")
        job.wait("FAILED")
        found = re.search(rf"SIGABRT in {who}(topic 'rogue', partition .*)\Z", job.failure())
        self.assertIsNotNone(found, job.failure())
        ranges = re.findall(r"partition (\d+), offsets? (\d+)(?: to (\d+))?", found.groups()[-1])
        return [(int(partition), offset) for partition, first, last in ranges
                for offset in range(int(first), int(last or first) + 1)]


class UserprofileOnACluster(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.broker = SHARED
        self.kafka = kafka_tools.Kafka(self.broker.bootstrap)
        for topic, partitions in TOPICS.items():
            self.kafka.create_topic(topic, partitions=partitions, config=BIG)
        self.events = self.directory / "events.ndjson"
        run(sys.executable, program.ROOT / "tools/generate_events.py", "--seed", str(SEED), "--users", "3000", "--count",
            str(COUNT), "--out", self.events)
        self.rng = random.Random(SEED)

    def arguments(self, *more):
        return ["--brokers", self.broker.bootstrap, "--events", "events", "--profiles", "profiles", "--dead-letters",
                "dead-letters", "--fragments", "fragments", "--dedupe-ttl", TTL, "--emit-interval", "50ms",
                "--checkpoints", self.checkpoints, "--checkpoint-interval", "200ms", "--restart-delay", "50ms",
                "--restart-delay-max", "200ms", *more]

    def test_every_record_comes_out_once_although_everybody_is_killed_and_frozen(self):
        tails = {topic: self.enterContext(self.kafka.tail(topic, self.directory / f"{topic}.dump"))
                 for topic in TOPICS if topic != "events"}
        ha = {"high-availability.type": "file", "high-availability.storageDir": self.directory / "ha",
              "high-availability.file.lease": f"{cluster.LEASE_MS}ms"}
        one = cluster.Cluster(self.directory, slots=2, job_managers=2, ha=ha)
        self.addCleanup(one.close)
        job = one.submit("userprofile", *self.arguments("--parallelism", 4))
        job.wait_checkpoints()
        with self.feed(0, COUNT // 2, COUNT // 2 // (3 * KILLS)) as feed:
            for number in range(KILLS):
                self.hurt(one, job, number)
            self.assertEqual(feed.wait(chaos.END_LIMIT_S), 0)
        self.lose_all_leaders(one, job)
        savepoint = job.stop(self.directory / "savepoints")
        job.wait("FINISHED")
        self.complete(savepoint)
        for tail in tails.values():
            tail.stop()
        self.judge()

    def feed(self, first, count, rate):
        return self.kafka.start_feed("events", self.events, from_line=first, count=count, rate=rate)

    def hurt(self, one, job, number):
        """Kinds take turns; who of a kind, and how, is drawn."""
        job.wait("RUNNING")
        job.wait_checkpoints()
        is_killed = self.rng.random() < 0.5
        if number % 4 == 3:
            self.hurt_leader(one, is_killed)
        else:
            self.hurt_worker(one, job, is_killed, is_whole=number % 4 == 2)
        job.wait("RUNNING")
        job.wait_checkpoints()
        one.wait_task_managers(2)

    def hurt_worker(self, one, job, is_killed, is_whole):
        """`is_whole`: its task manager."""
        workers = one.wait_until("it has workers", lambda: one.workers(job=job))
        restarts, victim = job.restarts(), self.rng.choice(sorted(workers))
        if is_whole:
            daemon = next(it for it in one.task_managers if it.name == workers[victim])
            victim = daemon.pid
        cluster.hurt(victim, signal.SIGKILL if is_killed else signal.SIGSTOP, "task manager" if is_whole else "worker")
        if is_whole and is_killed:
            daemon.process.wait(cluster.LIMIT_S)
            one.task_managers.remove(daemon)
            one.start_task_manager()
        one.wait_until("the job has noticed", lambda: job.restarts() > restarts)
        if is_killed:
            return
        if not is_whole:
            job.wait_checkpoints()  # and the frozen one wakes up behind it
        cluster.hurt(victim, signal.SIGCONT)

    def hurt_leader(self, one, is_killed):
        leader = one.leader()
        leader.signal(signal.SIGKILL if is_killed else signal.SIGSTOP)
        if is_killed:
            leader.process.wait(cluster.LIMIT_S)
            one.job_managers.remove(leader)
            one.start_job_manager()
        self.assertIsNot(one.leader(), leader)
        if not is_killed:
            leader.signal(signal.SIGCONT)

    def lose_all_leaders(self, one, job):
        """Nobody leads, and events are read and written nevertheless: the outputs' transactions stay open."""
        leader = one.leader()
        (standby,) = (it for it in one.job_managers if it is not leader)
        workers = one.workers(job=job)
        standby.signal(signal.SIGSTOP)
        leader.kill9()
        with self.feed(COUNT // 2, COUNT // 4, COUNT) as feed:
            self.assertEqual(feed.wait(chaos.END_LIMIT_S), 0)
        self.assertEqual(one.workers(job=job), workers)
        standby.signal(signal.SIGCONT)
        one.leader()
        job.wait("RUNNING")
        job.wait_checkpoints(2)

    def complete(self, savepoint):
        with self.feed(3 * COUNT // 4, COUNT - 3 * COUNT // 4, COUNT) as feed:
            self.assertEqual(feed.wait(chaos.END_LIMIT_S), 0)
        shutil.rmtree(self.checkpoints)
        self.assert_well(program.run("userprofile", "run", *self.arguments("--bounded", "--parallelism", 2, "--from-savepoint",
                                                                           savepoint), limit_s=chaos.END_LIMIT_S))

    def judge(self):
        dump = self.directory / "events.dump"
        with self.kafka.tail("events", dump, until_high=True) as tail:
            self.assertEqual(tail.process.wait(chaos.END_LIMIT_S), 0)
        print(run(sys.executable, program.ROOT / "test/oracle/verify.py", "--kafka", dump, "--topic", "events",
                  "--dedupe-ttl", TTL, "--profiles", self.directory / "profiles.dump", "--dead-letters",
                  self.directory / "dead-letters.dump", "--fragments", self.directory / "fragments.dump"),
              file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
