#!/usr/bin/env python3
"""A cluster of Weir, operated with the unmodified command line client of Apache Flink, of two versions."""
import os
import re
import unittest

import broker
import cluster
import flink_client
import program

NOBODY = "0" * 32


class _Client:
    VERSION = None

    @classmethod
    def setUpClass(cls):
        broker.or_skip(flink_client.fetch, cls.VERSION)

    def setUp(self):
        super().setUp()
        self.cluster = cluster.Cluster(self.directory, task_managers=1, slots=2)
        self.addCleanup(self.cluster.close)
        self.client = flink_client.Client(self.VERSION, self.directory / "conf", self.cluster.rest_ports[0])
        self.addCleanup(self.client.close)

    def submit(self, *arguments, checkpoints="checkpoints"):
        """One that runs on and on, and has a checkpoint."""
        job = self.cluster.submit("steady", "--rate", "2000", "--count", "1000000000", "--output", self.output,
                                  "--checkpoints", self.directory / checkpoints, "--checkpoint-interval", "200ms",
                                  *arguments)
        job.wait("RUNNING")
        job.wait_checkpoints(1)
        return job

    def well(self, *arguments):
        done = self.client.run(*arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def refused(self, words, *arguments, requests=None):
        """With 1, with the words; and at once: it has not asked again and again."""
        done = self.client.run(*arguments)
        self.assertEqual(done.returncode, 1, f"{arguments}\n{done.stdout}\n{done.stderr}")
        self.assertIn(words, done.stdout + done.stderr)
        if requests is not None:
            self.assertEqual(done.requests, requests, f"{arguments}\n{done.stdout}\n{done.stderr}")

    def path_in(self, text):
        found = re.search(r"Path: (?:file:)?(\S+)", text)
        self.assertIsNotNone(found, text)
        return found.group(1)

    def test_jobs_are_listed_and_cancelled(self):
        job = self.submit()
        self.assertRegex(self.well("list"), rf": {job.id} : steady \(RUNNING\)")
        self.assertIn("No scheduled jobs", self.well("list", "-s"))
        self.well("cancel", job.id)
        job.wait("CANCELED")
        self.assertIn("No running jobs", self.well("list"))
        self.assertRegex(self.well("list", "-a"), rf": {job.id} : steady \(CANCELED\)")
        self.refused("CANCELED", "cancel", job.id, requests=1)

    def test_savepoints_are_made_and_disposed_of(self):
        job, target = self.submit(), self.directory / "savepoints"
        path = self.path_in(self.well("savepoint", job.id, target))
        self.assertTrue(os.path.exists(f"{path}/_metadata"), path)
        self.assertIn("triggerId", self.well("savepoint", "-detached", job.id, target))
        self.cluster.wait_until("the detached one is there", lambda: len(list(target.glob("*/_metadata"))) == 2)
        self.assertRegex(self.well("checkpoint", job.id), r"Checkpoint \d+ for job")
        self.assertRegex(self.well("checkpoint", "-full", job.id), r"Checkpoint\(FULL\) \d+ for job")
        self.assertIn("disposed", self.well("savepoint", "-d", path))
        self.assertFalse(os.path.exists(path))
        self.refused("savepoints are CANONICAL", "savepoint", "-type", "native", job.id, target, requests=1)
        self.assertEqual(job.state(), "RUNNING")

    def test_a_job_stops_with_a_savepoint_and_goes_on_from_it(self):
        job, target = self.submit(), self.directory / "savepoints"
        path = self.path_in(self.well("stop", "-p", target, job.id))
        self.assertEqual(job.state(), "FINISHED")
        before = program.check_steady(self.output, None)
        next_one = self.submit("--from-savepoint", path, checkpoints="of-the-next-one")
        said = self.well("stop", "--drain", "-p", target, next_one.id)
        self.assertEqual(next_one.state(), "FINISHED")
        self.assertTrue(os.path.exists(f"{self.path_in(said)}/_metadata"))
        self.assertGreater(program.check_steady(self.output, None), before)

    def test_what_cannot_be_done_is_said_at_once(self):
        target = self.directory / "savepoints"
        for command in (("cancel", NOBODY), ("savepoint", NOBODY, target), ("stop", "-p", target, NOBODY),
                        ("checkpoint", NOBODY)):
            self.refused(f"Job {NOBODY} not found", *command, requests=1)
        job = self.submit()
        self.refused("savepoint-dir", "savepoint", job.id, requests=1)
        self.refused("savepoint-dir", "stop", job.id, requests=1)
        # what fails later comes as an exception, serialised
        self.refused("there is no", "savepoint", "-d", self.directory / "nowhere")
        (self.directory / "file").write_text("")
        for command in (("savepoint", job.id, self.directory / "file"),
                        ("stop", "-p", self.directory / "file", job.id)):
            self.refused("no savepoint can be written to", *command, requests=1)
        self.assertEqual(job.state(), "RUNNING")  # the stop, too, has left it alone
        job.wait_checkpoints(2)


    def test_a_standby_is_no_place_to_ask_but_says_where_one_is(self):
        ha = {"high-availability.type": "file", "high-availability.storageDir": self.directory / "ha",
              "high-availability.file.lease": f"{cluster.LEASE_MS}ms"}
        pair = cluster.Cluster(self.directory / "pair", task_managers=0, job_managers=2, ha=ha)
        self.addCleanup(pair.close)
        leader = pair.leader()
        (standby,) = (it for it in pair.job_managers if it is not leader)
        client = flink_client.Client(self.VERSION, self.directory / "standby", standby.port)
        self.addCleanup(client.close)
        done = client.run("list")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(f"http://localhost:{leader.port} leads", done.stdout + done.stderr)
        self.assertEqual(done.requests, 1)


class Flink1Test(_Client, program.ProgramTest):
    VERSION = flink_client.VERSIONS[0]


class Flink2Test(_Client, program.ProgramTest):
    VERSION = flink_client.VERSIONS[1]


if __name__ == "__main__":
    unittest.main()
