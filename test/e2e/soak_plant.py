"""What a soak runs: a broker, a cluster with high availability, three jobs, readers, and the judges of their output.

What   Plant(directory, seconds, seed, brokers) starts all of it: events flow into a topic at RATE, and beside each other run
         userprofile   the main job, events to profiles, exactly once, parallelism 2
         copy          a job without state, the same events into another topic
         steady        numbered records into files
       finish() lets all three come to the end of their input and compares what is there with what had to be.
How    Events are those of tools/generate_events.py in order of their time, so that state comes to an end of its growth: a
       fixed number of users, and ids of events that are forgotten after TTL. A duplicate comes at most NEAR_MAX
       events behind its original, long before that is forgotten, so that the oracle, which never forgets, agrees.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import broker
import cluster
import kafka_tools
import program

sys.path.insert(0, os.fspath(program.ROOT / "tools"))
import generate_events  # noqa: E402

RATE = 400  # events a second
STEADY_RATE = 200
USERS = 300
NEAR_MAX = 1000
EVENT_MS = 360  # from event to event, in event time
TTL = "2h"  # 20,000 events, 50 s of the soak
FOR_EVER = "100000d"
SLOTS = 5
MEMORY = "160MB"  # of a task manager; a worker has a fifth for each of its slots, which fills within minutes
LOGS = 1 << 20  # bytes, of a process and its workers: so little that logs are full, and stay so, within minutes
# Jobs that are still listed, those that end last among them: with the 1,000 of the default there is room for what looks
# like a leak for days.
ENDED = 8
TOPICS = {"events": 4, "profiles": 3, "dead-letters": 2, "fragments": 2, "copies": 4}
BIG = {"max.message.bytes": 4 << 20}
END_LIMIT_S = 3600  # of hours of input, read again by a judge


class OrderedEvents(generate_events.Generator):
    """Without the far jumps in time, and with duplicates that come soon."""

    def _ts(self, index, word):
        return generate_events.START_MS + index * self.interval_ms

    def line(self, index):
        words = self.words(index)
        while self._is_duplicate(index, words):
            index -= 1 + words[1] % min(index, NEAR_MAX // 4)
            words = self.words(index)
        return self._original(index, words)


def write_events(path, count, seed):
    generator = OrderedEvents(seed, USERS, skew=0.0, interval_ms=EVENT_MS)
    with open(path, "wb") as file:
        generate_events.write_range(generator, file, 0, count)


def run(*argv):
    done = subprocess.run([os.fspath(part) for part in argv], capture_output=True, text=True, timeout=END_LIMIT_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


class Plant:
    """`close()` ends every process. `seconds` is how long events flow at most."""

    def __init__(self, directory, seconds, seed, brokers=1):
        self.directory = pathlib.Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.brokers, self.count = brokers, int(seconds * RATE)
        self.steady_count, self.steady_rate = int(seconds * STEADY_RATE) + 2000, STEADY_RATE
        self.jobs, self.lives, self.tails, self.one, self.feed = {}, {}, {}, None, None
        self.savepoints = self.directory / "savepoints"
        write_events(self.directory / "events.ndjson", self.count, seed)
        self.broker = broker.Broker(self.directory / "broker", nodes=brokers, heap_mb=512).start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self.kafka = kafka_tools.Kafka(self.broker.bootstrap)
        for topic, partitions in TOPICS.items():
            self.kafka.create_topic(topic, partitions=partitions, config=BIG)
        for topic in ("profiles", "dead-letters", "fragments"):
            self.tails[topic] = self.kafka.tail(topic, self.directory / f"{topic}.dump")
        ha = {"high-availability.type": "file", "high-availability.storageDir": self.directory / "ha",
              "high-availability.file.lease": f"{cluster.LEASE_MS}ms"}
        settings = {"taskmanager.memory.process.size": MEMORY, "taskmanager.worker.memory-factor": 500, "env.log.size-max": f"{LOGS}B",
                    "jobstore.max-capacity": ENDED}
        self.one = cluster.Cluster(self.directory, slots=SLOTS, job_managers=2, ha=ha, settings=settings)
        for name in ("userprofile", "copy", "steady"):
            self.submit(name)
        self.feed = self.kafka.start_feed("events", self.directory / "events.ndjson", rate=RATE)

    def close(self):
        for tail in self.tails.values():
            tail.kill9()
        if self.feed is not None:
            broker.stop_process(self.feed)
            self.feed.stdout.close()
        if self.one is not None:
            self.one.close()
        self.broker.close()

    # ------------------------------------------------------------ jobs

    def checkpoints_of(self, name):
        return self.directory / f"checkpoints-{name}-{self.lives[name]}"

    def submit(self, name, *more, parallelism=2):
        """One more life of the job, with a checkpoint directory of its own; of the one before nothing is left."""
        before = self.lives.get(name, 0)
        self.lives[name] = before + 1
        common = ["--checkpoints", self.checkpoints_of(name), "--checkpoint-interval", "1s", "--restart-delay", "50ms",
                  "--restart-delay-max", "1s", "--parallelism", parallelism]
        path, own = getattr(self, f"_{name}")()
        self.jobs[name] = self.one.submit(path, *own, *common, *more, name=name)
        return self.jobs[name]

    def _userprofile(self):
        return "userprofile", ["--brokers", self.broker.bootstrap, "--events", "events", "--profiles", "profiles", "--dead-letters",
                               "dead-letters", "--fragments", "fragments", "--dedupe-ttl", TTL, "--emit-interval", "10s"]

    def _copy(self):
        return kafka_tools.BINARIES / "kafka_copy", ["--brokers", self.broker.bootstrap, "--topic", "events", "--out-topic",
                                                     "copies", "--group", "copy"]

    def _steady(self):
        return "steady", ["--count", self.steady_count, "--rate", self.steady_rate, "--output", self.directory / "steady"]

    def replace(self, name, *more, parallelism=2):
        """Stopped with a savepoint, and another job from there; the old one's checkpoints and the savepoint are removed."""
        old = self.checkpoints_of(name)
        savepoint = self.jobs[name].stop(self.savepoints)
        self.jobs[name].wait("FINISHED")
        job = self.submit(name, "--from-savepoint", savepoint, *more, parallelism=parallelism)
        job.wait("RUNNING", "FINISHED")  # what it was started from is a checkpoint of its own by now
        shutil.rmtree(savepoint)
        shutil.rmtree(old)
        return job

    def is_well(self, names=None):
        """Until all is as it was: everybody is there, each job runs and completes checkpoints."""
        self.one.leader()
        self.one.wait_task_managers(2)
        for name in names or self.jobs:
            job = self.jobs[name]
            job.wait("RUNNING", limit_s=120)
            job.wait_checkpoints(limit_s=120)

    # ------------------------------------------------------------ the end

    def finish(self):
        """All that was fed is read, and compared; returns sentences on what was equal, or raises AssertionError."""
        status = broker.stop_process(self.feed, timeout_s=kafka_tools.CALL_TIMEOUT_S)
        if status not in (0, 3):
            raise AssertionError(f"kafka_feed ended with {status}")
        self.is_well()
        ends = [self.replace(name, "--bounded") for name in ("userprofile", "copy")] + [self.finish_steady()]
        for job in ends:
            job.wait("FINISHED", limit_s=END_LIMIT_S)
        for tail in self.tails.values():
            tail.stop(END_LIMIT_S)
        return [self.judge_profiles(), self.judge_copies(), self.judge_steady(), self.judge_transactions()]

    def finish_steady(self):
        """What is left comes at once."""
        savepoint = self.jobs["steady"].stop(self.savepoints)
        self.jobs["steady"].wait("FINISHED")
        self.steady_rate = 0
        return self.submit("steady", "--from-savepoint", savepoint)

    def judge_profiles(self):
        dump = self.directory / "events.dump"
        with self.kafka.tail("events", dump, until_high=True) as tail:
            if tail.process.wait(END_LIMIT_S) != 0:
                raise AssertionError("the topic of the events could not be read to its end")
        return "userprofile: " + run(
            sys.executable, program.ROOT / "test/oracle/verify.py", "--kafka", dump, "--topic", "events", "--dedupe-ttl", FOR_EVER,
            "--profiles", self.directory / "profiles.dump", "--dead-letters", self.directory / "dead-letters.dump",
            "--fragments", self.directory / "fragments.dump")

    def judge_copies(self):
        digests = [self.kafka.digest(topic, checksum=True) for topic in ("events", "copies")]
        wanted, got = [(it["records"], it["checksum"]) for it in digests]
        if wanted != got:
            raise AssertionError(f"copy: records and checksum are {got}, of the original {wanted}")
        return f"copy: equal: {got[0]} records, checksum {got[1]}"

    def judge_steady(self):
        return f"steady: equal: {program.check_steady(self.directory / 'steady', self.steady_count)} records"

    def judge_transactions(self):
        """Nothing is open any more."""
        for topic in self.transaction_topics():
            for number, partition in enumerate(self.kafka.describe_topic(topic)):
                if partition["stable"] != partition["high"]:
                    raise AssertionError(f"a transaction hangs in topic '{topic}', partition {number}: {partition}")
        return "transactions: none is open"

    @staticmethod
    def transaction_topics():
        return [topic for topic in TOPICS if topic != "events"]
