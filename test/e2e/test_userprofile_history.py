"""The main job from files and then from a topic: history, then live, each event counted once.

What   The first part of the events lies in files (one of them packed), the rest in a topic, and some of the history
       is in the topic again, as it is when a feed has overlapped its archive. userprofile reads both with
       --history and --brokers, is killed on the way, and resumes without being told where it was.
How    The oracle reads the same files and a dump of the same topic. Everything is compared byte for byte.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import kafka_tools  # noqa: E402
import kills  # noqa: E402

ROOT = pathlib.Path(os.environ.get("WEIR_ROOT", pathlib.Path(__file__).resolve().parents[2]))
JOB = ROOT / "build/bin/userprofile"
COUNT = 60_000
OVERLAP = 10_000
BIG = {"max.message.bytes": 4 << 20}
LIMIT_S = 180


def tool(*argv):
    done = subprocess.run([sys.executable, *map(os.fspath, argv)], cwd=ROOT, capture_output=True, text=True,
                          timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv[0]}: {done.stdout}{done.stderr}")
    return done.stdout


class HistoryThenLive(unittest.TestCase):
    def setUp(self):
        broker.or_skip(broker.require_tools)

    def make_input(self, directory):
        for left_over in ("checkpoints", "history"):
            shutil.rmtree(directory / left_over, ignore_errors=True)
        generate = ("tools/generate_events.py", "--seed", "31", "--users", "3000")
        tool(*generate, "--count", str(COUNT // 2), "--files", "3", "--out", directory / "history")
        tool(*generate, "--from", str(COUNT // 2 - OVERLAP), "--count", str(COUNT // 2 + OVERLAP), "--out",
             directory / "live.ndjson")

    def start(self, directory, log, *more):
        argv = [JOB, "run", "--brokers", self.bootstrap, "--history", directory / "history", "--fragments", "fragments",
                "--bounded", "--checkpoints", directory / "checkpoints", "--checkpoint-interval", "200ms",
                "--emit-interval", "100ms", "--metrics-json", directory / "metrics.json", *more]
        with open(log, "wb") as out:
            return broker.spawn([os.fspath(part) for part in argv], stdout=out, stderr=out)

    def run_killed(self, directory):
        """Kills the job behind its first checkpoints, with another parallelism each time, then lets it end."""
        for number, parallelism in enumerate(("1", "2", "3")):
            log = directory / f"job-{number}.log"
            process = self.start(directory, log, "--parallelism", parallelism)
            deadline = time.monotonic() + LIMIT_S
            while b" completed in " not in log.read_bytes() and process.poll() is None:
                self.assertLess(time.monotonic(), deadline, f"{log} tells of no checkpoint")
                time.sleep(0.01)
            kills.count("job")
            process.kill()
            process.wait()
        process = self.start(directory, directory / "job-last.log", "--parallelism", "2")
        self.assertEqual(process.wait(LIMIT_S), 0, (directory / "job-last.log").read_text()[-2000:])

    def test_history_and_topic_are_one_input(self):
        with broker.Broker("userprofile-history", heap_mb=384) as one:
            self.bootstrap = one.bootstrap
            directory = pathlib.Path(one.directory)
            self.make_input(directory)
            kafka = kafka_tools.Kafka(one.bootstrap)
            for topic in ("events", "profiles", "dead-letters", "fragments"):
                kafka.create_topic(topic, partitions=2, config=BIG)
            kafka.feed("events", directory / "live.ndjson")
            self.run_killed(directory)
            dumps = {}
            for topic in ("events", "profiles", "dead-letters", "fragments"):
                dumps[topic] = directory / f"{topic}.dump"
                with kafka.tail(topic, dumps[topic]) as tail:
                    tail.wait_for(1)  # from here on it takes the signal to stop at the end
                    tail.stop()
            print(tool("test/oracle/verify.py", "--history", directory / "history", "--kafka", dumps["events"], "--topic",
                       "events", "--profiles", dumps["profiles"], "--dead-letters", dumps["dead-letters"], "--fragments",
                       dumps["fragments"], "--metrics", directory / "metrics.json"), file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
