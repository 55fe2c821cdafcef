"""The leader is killed in the middle of what was asked of it: each step of an operation, by its name.

What   A submission from a savepoint, a savepoint, a stop, a rescale and a cancel are asked of a leader that kills itself
       at a named point of it (base/fault.h), one after the other for each point.
How    The next leader takes over: what was asked for is done, or whoever asks for it is told that nobody knows of it; a
       savepoint that can be seen is whole; the job goes on, and in the end every record is there once.
       WEIR_TEST_LONG=1: all points.
"""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import program  # noqa: E402
from cluster import NoLeader, Refused  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"

# In the order in which they are passed; True: also without WEIR_TEST_LONG.
SUBMISSION = [("submit-store-before", True), ("submit-store-after", False), ("job-start-store-before", False),
              ("job-start-store-after", True), ("attempt-claim-after", False), ("import-publish-before", False),
              ("import-publish-after", True)]
SAVEPOINT = [("savepoint-request-after", False), ("savepoint-pin-after", False), ("savepoint-metadata-before", False),
             ("savepoint-rename-before", True), ("savepoint-write-after", True)]
STOP = [("stop-request-after", False), ("last-checkpoint-before", True), ("savepoint-pin-after", False),
        ("savepoint-rename-before", False), ("savepoint-write-after", False), ("finish-before", False),
        ("job-over-store-before", True), ("job-over-store-after", True)]
RESCALE = [("rescale-request-after", False), ("rescale-checkpoint-before", False), ("rescale-change-before", True),
           ("rescale-store-before", True), ("rescale-store-after", True)]
CANCEL = [("cancel-tasks-before", False), ("job-over-store-before", True), ("job-over-store-after", True)]


def chosen(points):
    return [point for point, is_short in points if IS_LONG or is_short]


class Operations(cluster.ClusterTest):
    def start(self):
        self.savepoints = self.directory / "savepoints"
        self.one = self.cluster(slots=2, ha=self.file_ha(), faults=True)
        self.job = self.steady(self.one, 2)
        self.job.wait_checkpoints()

    def faulty_leader(self, point):
        """One that leads, and ends at that point; another one waits."""
        old = self.one.leader()
        faulty = self.one.start_job_manager(fault=f"{point}:1:kill")
        old.kill9()
        self.one.job_managers.remove(old)
        self.one.wait_until(f"{faulty.name} leads", lambda: self.one.leader() is faulty)
        self.one.start_job_manager()
        self.one.wait_task_managers(2)
        return faulty

    def ask_to_death(self, faulty, method, path, body=None):
        """What it answers, or None; then it is dead, and another one leads."""
        try:
            answer = cluster.request(faulty.port, method, path, body)
        except NoLeader:
            answer = None
        self.one.wait_until(f"{faulty.name} ends at {faulty.fault}", faulty.has_ended)
        self.assertTrue(faulty.has_killed_itself(), faulty.said())
        self.one.job_managers.remove(faulty)
        self.one.leader()
        return answer

    def goes_on(self):
        self.job.wait("RUNNING")
        self.job.wait_checkpoints(2)

    def is_forgotten(self, answer, path):
        """Nobody knows of the operation that was begun, and says so."""
        if answer is None:
            return
        with self.assertRaises(Refused) as refused:
            self.job.get(f"/{path}/{answer['request-id']}")
        self.assertEqual(refused.exception.status, 404)
        self.assertIn("peration", refused.exception.text)

    def whole_savepoints(self):
        """Those that can be seen; each can be read to its end."""
        found = sorted(path for path in self.savepoints.glob("*") if not path.name.startswith("."))
        for path in found:
            self.assert_well(program.run("weir", "inspect", path, "--entries", "--limit", 1))
        return found

    # ------------------------------------------------------------ what is asked for

    def test_a_savepoint_is_whole_or_not_there(self):
        self.start()
        for point in chosen(SAVEPOINT):
            with self.subTest(point):
                faulty = self.faulty_leader(point)
                self.goes_on()
                before = self.whole_savepoints()
                answer = self.ask_to_death(faulty, "POST", f"{self.job.path}/savepoints",
                                           {"target-directory": os.fspath(self.savepoints)})
                self.goes_on()
                self.is_forgotten(answer, "savepoints")
                self.assertEqual(len(self.whole_savepoints()) - len(before), point == "savepoint-write-after")
                self.job.savepoint(self.savepoints)
        self.finish(self.one, self.job)

    def test_a_stop_is_done_or_the_job_goes_on(self):
        self.start()
        for point in chosen(STOP):
            with self.subTest(point):
                faulty = self.faulty_leader(point)
                self.goes_on()
                answer = self.ask_to_death(faulty, "POST", f"{self.job.path}/stop",
                                           {"targetDirectory": os.fspath(self.savepoints), "drain": False})
                self.is_forgotten(answer, "savepoints")
                if point == "job-over-store-after":
                    self.assertEqual(self.job.state(), "FINISHED")
                else:
                    self.goes_on()
                self.whole_savepoints()
        newest = max(self.whole_savepoints(), key=lambda path: path.stat().st_mtime)
        shutil.rmtree(self.directory / "steady-checkpoints")
        self.steady(self.one, 3, "--from-savepoint", newest, rate=None).wait("FINISHED")
        program.check_steady(self.directory / "steady", cluster.COUNT)

    def test_a_rescale_is_done_or_the_job_goes_on_as_it_was(self):
        self.start()
        for number, point in enumerate(chosen(RESCALE)):
            with self.subTest(point):
                faulty = self.faulty_leader(point)
                self.goes_on()
                old, new = self.job.parallelism(), (3, 4)[number % 2]
                answer = self.ask_to_death(faulty, "PATCH", f"{self.job.path}/rescaling?parallelism={new}")
                self.goes_on()
                self.is_forgotten(answer, "rescaling")
                self.assertEqual(self.job.parallelism(), new if point == "rescale-store-after" else old)
        self.job.rescale(1)
        self.finish(self.one, self.job)

    def test_a_cancel_is_done_or_can_be_asked_for_again(self):
        self.start()
        for number, point in enumerate(chosen(CANCEL)):
            with self.subTest(point):
                faulty = self.faulty_leader(point)
                self.goes_on()
                self.ask_to_death(faulty, "PATCH", self.job.path)
                if point != "job-over-store-after":
                    self.goes_on()
                    self.job.cancel()
                self.assertEqual(self.job.state(), "CANCELED")
                self.one.wait_task_managers(2)
                self.one.wait_until("no worker is left", lambda: not self.one.workers())
                self.one.wait_free_slots(4)
                self.job = self.steady(self.one, 2, name=f"steady-{number}")
                self.job.wait_checkpoints()
        self.finish(self.one, self.job, name=f"steady-{number}")
        for path in self.directory.glob("steady*"):
            if not path.name.endswith("checkpoints"):
                program.check_steady(path, None)

    def test_a_submission_from_a_savepoint_starts_from_it_once(self):
        self.start()
        digest = self.one.upload(program.path_of("steady", self.one.bin))
        for point in chosen(SUBMISSION):
            with self.subTest(point):
                savepoint = self.job.stop(self.savepoints)
                self.job.wait("FINISHED")
                shutil.rmtree(self.directory / "steady-checkpoints")
                faulty = self.faulty_leader(point)
                known = {job["id"] for job in self.one.get("/v1/jobs")["jobs"]}
                arguments = self.steady_arguments(2, "--from-savepoint", savepoint)
                answer = self.ask_to_death(faulty, "POST", "/v1/jobs", {
                    "digest": digest, "program": "steady", "arguments": arguments})
                new = {job["id"] for job in self.one.get("/v1/jobs")["jobs"]} - known
                self.assertEqual(len(new), point != "submit-store-before")
                if answer is not None:
                    self.assertEqual(new, {answer["jobid"]})
                self.job = cluster.Job(self.one, new.pop()) if new else self.steady(
                    self.one, 2, "--from-savepoint", savepoint)
                self.goes_on()
        self.finish(self.one, self.job)


if __name__ == "__main__":
    unittest.main()
