"""Checkpoints of a job that is held back: barriers overtake the records in front of them, which are counted once all the same.

What   jobs/steady.c with an operator that naps, so that what is on the way to it would take it longer than the pause between
       two checkpoints. With the aligned-checkpoint-timeout at 0 checkpoints have records in flight, which REST and the
       log tell. The job is killed behind such a one, goes on with another parallelism, and nothing is lost or doubled,
       and each key stays in its order: in one process, and with the records on the wire between two task managers.
       A savepoint of it has nothing in flight, and a checkpoint becomes a savepoint with all that is.
"""

import os
import re
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import program  # noqa: E402

COUNT = 20_000
HELD_BACK = ["--nap", "2ms", "--pad", "400B", "--aligned-checkpoint-timeout", "0ms"]
IN_FLIGHT = re.compile(r"completed in \d+ ms, [0-9.]+ MB \(([0-9.]+) of them in flight\)")


class Local(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.output, self.checkpoints = self.directory / "out", self.directory / "checkpoints"

    def arguments(self, parallelism, *more):
        return ["--count", COUNT, "--output", self.output, "--checkpoints", self.checkpoints, "--parallelism", parallelism,
                "--checkpoint-interval", "100ms", *more]

    def kill_behind_unaligned(self, parallelism, *more):
        """Killed when a checkpoint with records in flight is complete."""
        running = self.start("steady", *self.arguments(parallelism, *HELD_BACK, *more))
        running.wait_for("of them in flight", count=2)
        running.end(signal.SIGKILL)
        return running.said()

    def finish(self, parallelism, *more):
        self.assert_well(program.run("steady", *self.arguments(parallelism, *more)))
        self.assertEqual(program.check_steady(self.output, COUNT), COUNT)

    def test_a_job_that_is_killed_and_rescaled_with_records_in_flight_counts_each_once(self):
        for parallelism in (2, 3, 1, 4):
            said = self.kill_behind_unaligned(parallelism)
            self.assertGreater(max(float(size) for size in IN_FLIGHT.findall(said)), 0.0, said)
        self.finish(2)

    def test_a_savepoint_has_nothing_in_flight(self):
        running = self.start("steady", *self.arguments(2, *HELD_BACK, "--savepoints", self.directory / "savepoints",
                                                       "--stop-with-savepoint"))
        running.wait_for("of them in flight")
        ended = running.end(signal.SIGTERM)
        self.assertEqual(ended.status, 0, ended.err)
        (savepoint,) = (self.directory / "savepoints").iterdir()
        listed = program.run("weir", "inspect", savepoint).out
        self.assertIn("operator 'count'", listed)
        self.assertNotIn("in flight", listed)
        self.checkpoints = self.directory / "others"
        self.finish(3, "--from-savepoint", savepoint)

    def test_a_checkpoint_becomes_a_savepoint_with_what_is_in_flight(self):
        self.kill_behind_unaligned(2)
        job = self.checkpoints / "steady"
        newest = job / f"chk-{program.checkpoints_of(job)[0]}"
        listed = program.run("weir", "inspect", newest).out
        self.assertIn("in flight", listed)
        self.checkpoints = self.directory / "others"
        self.finish(3, "--from-savepoint", newest)


class Cluster(cluster.ClusterTest):
    def test_records_on_the_wire_are_in_flight_too_and_a_kill_costs_none(self):
        one = self.cluster(task_managers=2, slots=1)
        job = self.steady(one, 2, *HELD_BACK)
        for _ in range(3):
            one.wait_until("a checkpoint has records in flight", lambda: self.in_flight(job) > 0)
            restarts = job.restarts()
            cluster.hurt(sorted(one.workers(job=job))[0], signal.SIGKILL)
            self.wait_restarted(one, job, restarts)
        self.finish(one, job, 2)

    @staticmethod
    def in_flight(job):
        """Bytes, of the newest complete checkpoint."""
        newest = job.get("/checkpoints")["latest"]["completed"]
        return newest["persisted_data"] if newest else 0


if __name__ == "__main__":
    unittest.main()
