"""Disks that are full, broken or slow, under a cluster of real processes: it says so, and goes on when they are not.

What   The directory of checkpoints, that of high availability, and that of a task manager are a small file system that
       is filled up and emptied again; the system call that syncs is made to fail, or to take its time (strace).
How    No daemon may end. Of a full disk the message says which file, and what to do. In the end every record is there
       once. Where mounting or tracing is not allowed a test is skipped, with a line that says so.
"""

import contextlib
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import program  # noqa: E402
import strace  # noqa: E402
from cluster import NoLeader, Refused  # noqa: E402

FULL = "free space on that disk"
DISK_SIZE = 48 << 20  # an executable of a job with its symbols has a third of that


def skip(why):
    if os.environ.get("CI") == "true" and "not found" in why:
        raise AssertionError(why)
    print(f"SKIPPED: {why}", file=sys.stderr, flush=True)
    raise unittest.SkipTest(why)


class Disks(cluster.ClusterTest):
    def disk(self):
        disk = self.enterContext(program.small_disk(DISK_SIZE))
        return disk or skip("no small file system: mounting is not permitted")

    @contextlib.contextmanager
    def full(self, disk):
        """Not a byte more goes onto it."""
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)
        yield
        filler.unlink()

    def all_live(self, one):
        for daemon in one.job_managers + one.task_managers:
            self.assertFalse(daemon.has_ended(), daemon.said())

    # ------------------------------------------------------------ full

    def test_checkpoints_fail_while_their_disk_is_full_and_go_on_then(self):
        disk = self.disk()
        self.checkpoints_of = lambda name: disk / name
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 2)
        job.wait_checkpoints(2)
        with self.full(disk):
            one.wait_until("it says so", lambda: FULL in one.leader().said())
            for pid in one.workers(job=job):  # and a restart needs space, too
                cluster.hurt(pid)
            one.wait_until("it is told why", lambda: FULL in job.failure())
            old = one.leader()
            old.kill9()  # and so does a new leader
            one.job_managers.remove(old)
            one.wait_until("the next one says so", lambda: FULL in one.leader().said())
            self.all_live(one)
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    def test_a_leader_whose_disk_is_full_comes_back_with_its_jobs(self):
        disk = self.disk()
        one = self.cluster(job_managers=2, ha=dict(self.file_ha(), **{"high-availability.storageDir": disk / "ha"}))
        job = self.steady(one, 2)
        job.wait_checkpoints(2)
        workers = one.workers(job=job)
        with self.full(disk):
            one.wait_until("it says so", lambda: any(FULL in daemon.said() for daemon in one.job_managers))
            before = cluster.reached(one, job)
            one.wait_until("records flow", lambda: cluster.reached(one, job) >= before + 3000)
            self.refuses_jobs(one)
            self.all_live(one)
        one.leader()
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.assertTrue(workers)
        self.finish(one, job)

    def refuses_jobs(self, one):
        digest = next(iter(one.uploaded))
        for daemon in one.job_managers:
            try:
                cluster.request(daemon.port, "POST", "/v1/jobs", {"digest": digest, "program": "late", "arguments": []})
                self.fail(f"{daemon.name} takes a job that it cannot store")
            except NoLeader:
                pass
            except Refused as refused:
                self.assertIn(FULL, refused.text)

    def test_a_task_manager_whose_disk_is_full_says_so_and_works_again_then(self):
        disk = self.disk()
        one = self.cluster(task_managers=0, slots=2)
        one.start_task_manager(io__tmp__dirs=disk / "tmp")
        one.wait_task_managers(1)
        with self.full(disk):
            job = self.steady(one, 2)
            job.wait("FAILED")
            self.assertIn(FULL, job.failure())
        job = self.steady(one, 2)
        job.wait_checkpoints()
        with self.full(disk):
            for pid in one.workers(job=job):
                cluster.hurt(pid)
            one.wait_until("it is told why", lambda: FULL in job.failure())
            self.all_live(one)
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    # ------------------------------------------------------------ broken, slow

    @contextlib.contextmanager
    def syncs(self, pid, fate):
        try:
            with strace.injected(pid, fate, self.directory / f"strace-{pid}") as log:
                yield log
        except strace.NotPermitted as refused:
            skip(str(refused))

    def test_a_job_manager_whose_syncs_fail_completes_nothing_and_goes_on_then(self):
        one = self.cluster(ha=self.file_ha())
        job = self.steady(one, 2)
        job.wait_checkpoints(2)
        leader = one.leader()
        with self.syncs(leader.pid, "error=EIO"):
            one.wait_until("it says so", lambda: "Input/output error" in leader.said())
            self.all_live(one)
        one.leader()
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    def test_a_worker_whose_syncs_fail_costs_checkpoints_and_no_record(self):
        one = self.cluster(task_managers=1, slots=2)
        job = self.steady(one, 2)
        job.wait_checkpoints(2)
        (worker,) = one.workers(job=job)
        with self.syncs(worker, "error=EIO"):
            one.wait_until("it says so", lambda: "Input/output error" in one.leader().said())
            self.all_live(one)
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    def test_syncs_that_take_long_slow_checkpoints_down_and_nothing_else(self):
        # A renewal of the lease syncs several times: with a short one the leader would not lead all the time.
        ha = {**self.file_ha(), "high-availability.file.lease": "20s"}
        one = self.cluster(task_managers=1, slots=2, ha=ha, settings=cluster.PATIENT)
        job = self.steady(one, 2)
        job.wait_checkpoints(2)
        (worker,) = one.workers(job=job)
        with self.syncs(one.leader().pid, "delay_exit=150000"), self.syncs(worker, "delay_exit=300000"):
            job.wait_checkpoints(3)
            job.savepoint(self.directory / "savepoints")
        self.assertEqual(job.restarts(), 0)
        self.assertEqual(set(one.workers(job=job)), {worker})
        job.wait_checkpoints(2)
        self.finish(one, job)

    # ------------------------------------------------------------ silent

    def test_a_disk_that_does_not_answer_holds_up_its_job_alone_and_not_the_end_of_the_job_manager(self):
        one = self.cluster(task_managers=1, faults=True)
        one.leader().kill9()
        leader = one.start_job_manager(fault="restore-read-before:1:stall-300000")
        one.wait_task_managers(1)
        silent = self.steady(one, 1, name="silent")
        one.wait_until("its checkpoints are read", lambda: "stalled for" in leader.said())
        one.ask("PATCH", silent.path)
        silent.wait("CANCELLING")
        other = self.steady(one, 1)
        other.wait_checkpoints(2)
        self.assertEqual(silent.state(), "CANCELLING")
        self.assertEqual(leader.stop(), 0, leader.said())
        self.assertIn("ends without waiting for a disk", leader.said())


if __name__ == "__main__":
    unittest.main()
