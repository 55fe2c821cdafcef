"""Savepoints of a job between topics: what Kafka knows of a job must agree with what it is restored from.

What   userprofile from topics to topics on a real broker is stopped with a savepoint, or writes one and goes on,
       and starts from it in another checkpoint directory, with another parallelism and state backend.
How    The oracle finds the output exact; or the start is refused, because output behind the savepoint exists; or
       the job is fenced, because another one has started from the same savepoint.
"""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import EXIT  # noqa: E402
from test_bad_input_kafka import OnABroker  # noqa: E402

COMPLETED = " completed in"


class Savepoints(OnABroker):
    def setUp(self):
        super().setUp()
        self.savepoints = self.directory / "savepoints"
        self.create()
        self.feed(20_000)

    changed = ()

    def profile(self, *options):
        return super().profile(*self.changed, *options)

    def publish_all(self):
        """What was fed is read and published to its end: nothing comes out any more before somebody feeds again."""
        self.assert_well(self.profile())

    def run_for_a_while(self):
        running = self.start("userprofile", *self.argv("--checkpoint-interval=100ms", "--savepoints",
                                                       self.savepoints, "--stop-with-savepoint"))
        running.wait_for(COMPLETED, count=2)
        return running

    def savepoint(self):
        (path,) = self.savepoints.glob("savepoint-*")
        return path

    def moved(self, *options):
        self.checkpoints = self.directory / "moved"
        self.changed = ("--parallelism=3", "--state-backend=hashmap")
        return self.profile("--from-savepoint", self.savepoint(), *options)

    def test_a_job_that_was_stopped_with_a_savepoint_goes_on_from_it_exactly_once(self):
        self.assert_well(self.run_for_a_while().end(signal.SIGTERM))
        self.feed(5_000, seed=8)
        said = self.assert_well(self.moved())
        self.assertNotIn("an earlier life", said)
        self.feed(500, seed=9)
        self.assert_exact()

    def test_of_two_jobs_from_one_savepoint_the_last_started_goes_on_and_the_other_is_fenced(self):
        self.publish_all()  # or the first one may publish more, and the second one is refused
        self.assert_well(self.run_for_a_while().end(signal.SIGTERM))
        savepoint, running = self.savepoint(), []
        for name in ("one", "two"):
            self.checkpoints = self.directory / name
            running.append(self.start("userprofile", *self.argv("--checkpoint-interval=100ms", "-s", savepoint)))
            running[-1].wait_for(COMPLETED, count=2)
        self.feed(5_000, seed=8)
        fenced = running[0].end()
        self.assertNotEqual(fenced.status, 0)
        self.assertIn("of this job publishes into topic", fenced.err)
        self.assertIn("another start from the same savepoint", fenced.err)
        self.assert_well(running[1].end(signal.SIGTERM))
        self.assert_exact()

    def test_behind_output_that_came_after_a_savepoint_it_goes_on_only_if_duplicates_are_accepted(self):
        self.publish_all()
        running = self.run_for_a_while()
        running.process.send_signal(signal.SIGUSR1)
        running.wait_for("savepoint written to")
        published = len(self.kafka.read(self.topics["profiles"]))
        self.feed(5_000, seed=8)
        with self.kafka.tail(self.topics["profiles"], self.directory / "profiles.dump") as tail:
            tail.wait_for(published + 1)
        running.end(signal.SIGKILL)
        self.assert_refused(self.moved(), EXIT["state"], "already has output", "--republish")
        self.assertIn("it may get duplicates", self.assert_well(self.profile("--republish")))


if __name__ == "__main__":
    unittest.main()
