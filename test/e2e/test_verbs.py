#!/usr/bin/env python3
"""The verbs of the command weir that ask something of a job, with a cluster behind them: words, --json, exit codes.

What   checkpoint, rescale, savepoint, its disposal, stop, explain, cancel, and inspect of what they have made; run
       until the end of the job, its failure, its cancellation or an interrupt; a job that submits itself (--cluster).
How    One cluster for all of them. The jobs, steady, take no checkpoint but those that are asked for, so what has been
       printed is there until the next one is asked for. No broker is needed.
"""
import json
import os
import pathlib
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import program  # noqa: E402
from program import ProgramTest  # noqa: E402

COUNT = 50_000  # at RATE, more than any of the tests lives
RATE = 2000
ENV = {**os.environ, "WEIR_CONF": os.devnull, "PATH": f"{program.BIN}:{os.environ['PATH']}"}


class Verbs(ProgramTest):
    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        cls.savepoints = pathlib.Path(place.name) / "savepoints"
        cls.one = cluster.Cluster(place.name, task_managers=1, slots=4,
                                  settings={"execution.checkpointing.savepoint-dir": cls.savepoints})
        cls.addClassCleanup(cls.one.close)
        cls.at = f"localhost:{cls.one.leader().port}"

    def weir(self, verb, *words, status=0, **options):
        """What it prints; on standard error if it ends as it must, but not with 0."""
        address = () if verb == "inspect" else ("-m", self.at)
        done = program.run("weir", verb, *address, *words, env=ENV, **options)
        self.assertEqual(done.status, status, f"{verb} {words}\n{done.out}\n{done.err}")
        return done.err if done.err else done.out

    def json(self, verb, *words, **options):
        return json.loads(self.weir(verb, "--json", *words, **options))

    def arguments(self, *options, rate=RATE, checkpoints="checkpoints"):
        return ("--count", COUNT, "--rate", rate, "--output", self.output, "--checkpoints",
                self.directory / checkpoints, "--checkpoint-interval", "1h", *options)

    def crash(self):
        """Arguments of rogue."""
        return ("--crime", "crash", "--at", 10, "--output", self.directory / "crash", "--restart", "none")

    def submit(self, *options, before=(), **more):
        said = self.weir("run", "-d", *before, program.path_of("steady"), *self.arguments(*options, **more))
        job = cluster.Job(self.one, said.split()[-1])
        self.addCleanup(lambda: job.state() in cluster.OVER or job.cancel())
        self.assertEqual(said, f"Job has been submitted with JobID {job.id}\n")
        return job

    def attached(self, *words):
        """`run` in the foreground, when its job runs; and the job."""
        running = self.start("weir", "run", "-m", self.at, *words, env=ENV)
        return running, self.job_of(running)

    def job_of(self, running):
        running.wait_for("switched to RUNNING.")
        return cluster.Job(self.one, running.said().split("JobID ")[1].split()[0])

    def path_in(self, said):
        return pathlib.Path(said.split("Path: ")[1].split("\n")[0])

    # ------------------------------------------------------------ what a job is asked while it runs

    def test_a_checkpoint_says_where_it_is_and_can_be_looked_into(self):
        job = self.submit()
        said = self.weir("checkpoint", job.id)
        path = self.path_in(said)
        number = int(path.name.removeprefix("chk-"))
        self.assertEqual(said, f"Triggering checkpoint for job {job.id}.\nWaiting for response...\n"
                               f"Checkpoint {number} for job {job.id} completed.\nPath: {path}\n"
                               "You can resume your program from this checkpoint with the run command.\n")
        self.assertEqual(path.parent, self.checkpoints / "steady")
        self.assertIn(f"checkpoint {number} of job 'steady' of attempt 1\n", self.weir("inspect", path))
        self.assertIn("operator 'count', 1 subtask", self.weir("inspect", path))
        listed = self.json("inspect", path)
        self.assertEqual((listed["job"], listed["savepoint"], listed["checkpoint"]), ("steady", False, number))
        self.assertIn(" files, all checksums right\n", self.weir("inspect", path, "--verify"))
        second = self.json("checkpoint", "--full", job.id)
        self.assertEqual(second, {"jobid": job.id, "checkpointId": number + 1,
                                  "location": f"{path.parent}/chk-{number + 1}"})
        self.assertTrue((path.parent / f"chk-{number + 1}" / "_metadata").exists())
        self.assertEqual(self.json("cancel", job.id), {"jobid": job.id})
        job.wait("CANCELED")
        self.assertIn(f"job {job.id} does not run: it is CANCELED", self.weir("checkpoint", job.id, status=1))
        again = self.submit(before=("-s", second["location"]), checkpoints="more")
        self.assertIn(f"starts from '{second['location']}'", self.weir("logs", "jobmanager"))
        again.cancel()
        program.check_steady(self.output, None)

    def test_a_temporary_checkpoint_goes_with_the_job_and_says_so(self):
        said = self.weir("run", "-d", program.path_of("steady"), "--rate", RATE, "--count", COUNT, "--output",
                         self.output)
        job = cluster.Job(self.one, said.split()[-1])
        self.addCleanup(job.cancel)
        said = self.weir("checkpoint", job.id)
        self.assertIn("It is temporary, and goes with the job", said)
        self.assertNotIn("You can resume", said)
        self.assertIsNone(self.json("checkpoint", job.id)["location"])

    def test_a_rescale_says_how_long_there_was_no_output_and_explain_shows_it(self):
        job = self.submit("--job-name", "grows")
        self.assertIn("count", self.weir("explain", "grows"))
        self.assertRegex(self.weir("rescale", "grows", 2),
                         rf"\ARescaling job {job.id} to parallelism 2\.\nWaiting for response\.\.\.\n"
                         rf"Rescaled job {job.id} to parallelism 2\.\nWithout output for \d+ ms, \d+ ms in all\.\n\Z")
        plan = self.json("explain", job.id)["plan"]
        self.assertEqual((plan["jid"], plan["name"]), (job.id, "grows"))
        self.assertEqual({node["parallelism"] for node in plan["nodes"]}, {2})
        self.assertIn("has parallelism 2 already: nothing was changed.", self.weir("rescale", "grows", 2))
        said = self.json("rescale", job.id[:8], 3)
        self.assertEqual((said["jobid"], said["parallelism"], said["unchanged"]), (job.id, 3, False))
        self.assertGreaterEqual(said["duration-ms"], said["downtime-ms"])
        self.assertIn("it must be from 1 to ", self.weir("rescale", "grows", 0, status=2))
        for verb in (("explain",), ("checkpoint",), ("savepoint",), ("stop",), ("cancel",)):
            self.assertIn("there is no job 'nobody'", self.weir(*verb, "nobody", status=1))

    # ------------------------------------------------------------ savepoints and stops

    def test_savepoints_are_taken_looked_into_and_disposed_of(self):
        job = self.submit()
        said = self.weir("savepoint", job.id, "here", cwd=self.directory)
        path = self.path_in(said)
        self.assertEqual(said, f"Triggering savepoint for job {job.id}.\nWaiting for response...\n"
                               f"Savepoint completed. Path: {path}\n"
                               "You can resume your program from this savepoint with the run command.\n")
        self.assertEqual(path.parent, self.directory / "here")
        self.assertRegex(self.weir("inspect", path), r"\Asavepoint of job 'steady', made from checkpoint \d+ of ")
        self.assertTrue(self.json("inspect", path)["savepoint"])
        self.assertTrue(json.loads(self.weir("inspect", "--json", "--verify", path).splitlines()[-1])["whole"])
        self.assertIn(" 0 added, 0 changed, 0 removed", self.weir("inspect", path, "--diff", path))
        configured = self.json("savepoint", job.id)
        self.assertEqual(configured["jobid"], job.id)
        self.assertEqual(pathlib.Path(configured["location"]).parent, self.savepoints)
        request = self.json("savepoint", "--detached", job.id)
        detached = job._operation("savepoints", request)["location"]
        self.assertEqual(self.weir("savepoint", "-d", path),
                         f"Disposing savepoint '{path}'.\nWaiting for response...\nSavepoint '{path}' disposed.\n")
        self.assertEqual(self.json("savepoint", "-d", detached), {"disposed": detached})
        self.assertEqual([path.exists(), os.path.exists(detached), os.path.exists(configured["location"])],
                         [False, False, True])
        self.assertIn(str(path), self.weir("savepoint", "-d", path, status=1))

    def test_a_stop_leaves_a_savepoint_from_which_the_job_is_run_to_its_end(self):
        job = self.submit()
        said = self.weir("stop", "-p", self.directory / "stops", job.id)
        path = self.path_in(said)
        self.assertEqual(said, f'Suspending job "{job.id}" with a CANONICAL savepoint.\n'
                               f"Savepoint completed. Path: {path}\n"
                               "You can resume your program from this savepoint with the run command.\n")
        self.assertEqual((path.parent, job.state()), (self.directory / "stops", "FINISHED"))
        self.assertIn(f"job {job.id} does not run: it is FINISHED", self.weir("stop", job.id, status=1))
        written = program.check_steady(self.output, None)
        self.assertLess(written, COUNT)
        last = self.json("run", "-s", path, program.path_of("steady"),
                         *self.arguments(rate=0, checkpoints="of the end"))
        self.assertEqual((set(last), last["state"]), ({"jobid", "state", "duration"}, "FINISHED"))
        program.check_steady(self.output, COUNT)

    def test_a_drain_goes_into_the_configured_directory(self):
        job = self.submit()
        said = self.json("stop", "--drain", job.id)
        self.assertEqual((said["jobid"], job.state()), (job.id, "FINISHED"))
        self.assertEqual(pathlib.Path(said["location"]).parent, self.savepoints)
        program.check_steady(self.output, None)
        job = self.submit(checkpoints="more", before=("-s", said["location"]))
        self.assertIn(f'Draining job "{job.id}" with a CANONICAL savepoint.\nSavepoint completed. Path: ',
                      self.weir("stop", "-d", job.id))

    # ------------------------------------------------------------ run, attached

    def test_run_ends_as_its_job_does(self):
        done = self.weir("run", program.path_of("steady"), *self.arguments(rate=0))
        job = done.split()[6]
        self.assertTrue(done.startswith(f"Job has been submitted with JobID {job}\nJob {job} switched to "), done)
        self.assertRegex(done, rf"Program execution finished\nJob with JobID {job} has finished\.\n"
                               r"Job Runtime: \d+ ms\n\Z")
        program.check_steady(self.output, COUNT)
        self.assertRegex(self.weir("run", program.path_of("rogue"), *self.crash(), status=1),
                         r"\Aweir: job [0-9a-f]{32} has failed: (.|\n)*SIGSEGV")
        self.output = self.directory / "cancelled"
        running, job = self.attached(program.path_of("steady"), *self.arguments(checkpoints="more"))
        self.weir("cancel", job.id)
        self.assert_ended(running.end(), 1, f"Job {job.id} switched to CANCELED.", f"weir: job {job.id} was cancelled")

    def test_an_interrupt_of_run_leaves_the_job_running(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            running, job = self.attached(program.path_of("steady"), *self.arguments(checkpoints=f"of-{status}"))
            self.assert_ended(running.end(number), status,
                              f"Detached. Job {job.id} goes on; 'weir cancel {job.id}' ends it.\n")
            self.assertEqual(job.state(), "RUNNING")
            job.cancel()

    # ------------------------------------------------------------ a job that submits itself

    def test_a_job_that_submits_itself_ends_as_it_does_on_the_cluster(self):
        done = program.run("steady", "run", "--cluster", self.at, *self.arguments("--job-name", "itself", rate=0),
                           env=ENV)
        self.assert_well(done)
        self.assertRegex(done.out, r"\AJob has been submitted with JobID [0-9a-f]{32}\n")
        self.assertRegex(done.out, r"has finished\.\nJob Runtime: \d+ ms\n\Z")
        self.assertIn(" : itself (FINISHED)\n", self.weir("list", "-a"))
        program.check_steady(self.output, COUNT)
        refused = program.run("rogue", "--cluster", self.at, *self.crash(), env=ENV)
        self.assert_refused(refused._replace(program="weir"), 1, " has failed: ", "SIGSEGV")

    def test_an_interrupt_of_a_job_that_has_submitted_itself_leaves_it_running_on_the_cluster(self):
        running = self.start("steady", "run", "--cluster", self.at, *self.arguments(), env=ENV)
        job = self.job_of(running)
        self.assert_ended(running.end(signal.SIGINT), 130, f"Detached. Job {job.id} goes on")
        self.assertEqual(job.state(), "RUNNING")
        job.cancel()


if __name__ == "__main__":
    unittest.main()
