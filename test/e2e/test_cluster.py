"""A cluster of real processes, each of which is killed, frozen or cut off: every record exactly once.

What   jobs/steady.c counts numbered records on several task managers while workers, task managers and the job
       manager are killed and frozen, at random, in bursts and at named points of a checkpoint, and the job is
       rescaled, stopped and restarted. At the end every index is there once, every count without a gap.
       jobs/rogue.c does what no job should, beside a healthy one that must not notice.
How    A job runs at a rate under chaos, is stopped with a savepoint, and goes on from it without a rate to its end:
       so what is judged is whole, however long chaos took. What happens when is drawn from WEIR_SEED.
       WEIR_TEST_LONG=1 does more of the same. No broker is needed; ZooKeeper for one of the classes.
"""

import os
import pathlib
import re
import resource
import random
import re
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import cluster  # noqa: E402
import kills  # noqa: E402
import program  # noqa: E402
import zookeeper  # noqa: E402
from cluster import NoLeader, Refused  # noqa: E402
from seed import SEED  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
ROUNDS = 12 if IS_LONG else 8

# Named points of the protocol in the order of a checkpoint, by the process that passes them.
LEADER_POINTS = ["attempt-claim-before", "attempt-claim-after", "trigger-send-before", "trigger-send-after",
                 "ack-receive-before", "checkpoint-publish-before", "metadata-sync-before", "metadata-rename-before",
                 "metadata-rename-after", "checkpoint-publish-after", "notify-send-before", "notify-send-after",
                 "clean-before", "clean-after"]
WORKER_POINTS = ["deploy-start-before", "deploy-start-after", "barrier-send-before", "barrier-send-after",
                 "snapshot-freeze-after", "snapshot-write-before", "snapshot-write-after", "notify-receive-before",
                 "part-rename-before", "part-rename-after", "notify-receive-after"]
ONCE = {"attempt-claim-before", "attempt-claim-after", "deploy-start-before", "deploy-start-after"}


# ---------------------------------------------------------------- kills


def size_in_rocksdb(stored):
    """Of the files of the newest checkpoint, if RocksDB's are among them; else nothing. Again when it goes meanwhile."""
    while True:
        newest = program.checkpoints_of(stored)[0]
        try:
            names = program.files_of(stored, newest)
            has_tables = b".sst" in (stored / f"chk-{newest}" / "_metadata").read_bytes()
            return has_tables and sum((stored / name).stat().st_size for name in names)
        except FileNotFoundError:
            continue


def bytes_read(pid):
    """By its calls of read, from wherever."""
    return int(re.search(r"rchar: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text())[1])


class Kills(cluster.ClusterTest):
    def test_workers_and_task_managers_killed_and_frozen_at_random_cost_no_record(self):
        one = self.cluster(task_managers=3, slots=2)
        job = self.steady(one, 4)
        rng = random.Random(SEED)
        frozen = []
        for _ in range(ROUNDS):
            job.wait("RUNNING")
            job.wait_checkpoints(rng.choice((0, 1, 1, 2)))
            restarts = job.restarts()
            what, is_killed = rng.choice(("worker", "task manager")), rng.random() < 0.5
            time.sleep(rng.uniform(0, 0.1))  # any moment between two checkpoints
            self.hurt(one, job, rng, what, is_killed, frozen)
            self.wait_restarted(one, job, restarts)
            job.wait_checkpoints()
            for revived in frozen:  # its time is over, and it does not know
                cluster.hurt(revived, signal.SIGCONT)
            one.wait_task_managers(3)
            frozen.clear()
        self.finish(one, job)

    def hurt(self, one, job, rng, what, is_killed, frozen):
        workers = one.wait_until("it has workers", lambda: one.workers(job=job))
        victim = rng.choice(sorted(workers))
        if what == "task manager":
            daemon = next(it for it in one.task_managers if it.name == workers[victim])
            victim = daemon.pid
            if is_killed:
                daemon.kill9()
                one.task_managers.remove(daemon)
                one.start_task_manager()
                return
        cluster.hurt(victim, signal.SIGKILL if is_killed else signal.SIGSTOP, what)
        if not is_killed:
            frozen.append(victim)

    def test_workers_are_killed_while_they_restore_three_deep_and_the_leader_with_them(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 4)
        for _ in range(5 if IS_LONG else 2):
            job.wait("RUNNING")
            job.wait_checkpoints()
            known = set(one.workers(job=job))
            cluster.hurt(max(known))
            for depth in range(3):
                new = one.wait_until("new workers start", lambda: set(one.workers(job=job)) - known)
                known |= new
                cluster.hurt(max(new))
                if depth == 1:
                    leader = one.leader()
                    leader.kill9()
                    one.job_managers.remove(leader)
                    one.start_job_manager()
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    @unittest.skipUnless(IS_LONG, "WEIR_TEST_LONG=1 runs it")
    def test_bursts_of_twenty_kills_within_a_minute_cost_no_record(self):
        one = self.cluster(task_managers=3, slots=2, job_managers=2, ha=self.file_ha())
        job = self.steady(one, 4, rate=cluster.RATE // 4)  # it goes on for longer
        rng = random.Random(SEED)
        for _ in range(15):
            for _ in range(20):
                self.kill_any(one, job, rng)
                time.sleep(rng.uniform(0, 2))  # any moment
            one.wait_task_managers(3)
            job.wait("RUNNING")
            job.wait_checkpoints(2)
        self.finish(one, job)

    def kill_any(self, one, job, rng):
        kind = rng.choice(("worker", "worker", "worker", "task manager", "job manager"))
        if kind == "worker":
            workers = one.wait_until("it has workers", lambda: one.workers(job=job))
            cluster.hurt(rng.choice(sorted(workers)))
            return
        is_leader = kind == "job manager"
        daemons = one.job_managers if is_leader else one.task_managers
        victim = daemons.pop(rng.randrange(len(daemons)))
        victim.kill9()
        one.start_job_manager() if is_leader else one.start_task_manager()

    def test_after_a_kill_state_is_read_once_at_most_and_not_at_all_by_who_knows_it_from_when_it_was_stored(self):
        one = self.cluster(task_managers=1, slots=1, job_managers=2, ha=self.file_ha())
        directory, users = self.checkpoints_of("large"), 400_000  # 48 MB: much more than a program reads to start
        arguments = ["--checkpoints", directory, "--users", users]
        filled = program.run("large", "run", *arguments, "--count", users, "--from", users)
        self.assertEqual(filled.status, 0, filled.err)
        job = one.submit(program.path_of("large"), *arguments, "--rate", 10, "--checkpoint-interval", "50ms")
        size = one.wait_until("RocksDB has what a restore would replay else, and read for that",
                              lambda: size_in_rocksdb(directory / "large"))
        for _ in range(2):
            job.wait_checkpoints()
            victim, before = self.only_worker(one, job), bytes_read(one.leader().pid)
            cluster.hurt(victim)
            worker = self.only_worker(one, job, victim)
            self.assertLess(bytes_read(one.leader().pid) - before, size / 2)
            self.assertLess(bytes_read(worker), size / 2)
        leader = one.leader()
        os.kill(worker, signal.SIGSTOP)  # the next leader shall see no checkpoint of it
        leader.kill9()
        one.job_managers.remove(leader)
        before = bytes_read(one.job_managers[0].pid)
        cluster.hurt(worker)
        worker = self.only_worker(one, job, worker)
        self.assertGreater(bytes_read(one.leader().pid) - before, size / 2)
        self.assertLess(bytes_read(worker), size / 2)
        job.cancel()

    def only_worker(self, one, job, but=None):
        """It runs the job."""
        worker, = one.wait_until("a worker", lambda: set(one.workers(job=job)) - {but})
        job.wait("RUNNING")
        return worker

    def test_a_job_of_one_worker_survives_its_kill_again_and_again(self):
        one = self.cluster(task_managers=1, slots=1)
        job = self.steady(one, 1)
        for _ in range(3):
            job.wait_checkpoints()
            restarts = job.restarts()
            for pid in one.workers(job=job):
                cluster.hurt(pid)
            self.wait_restarted(one, job, restarts)
        self.finish(one, job, parallelism=1)

    def test_a_worker_that_is_killed_is_replaced_and_the_other_region_goes_on(self):
        # One falls silent at the end; who only waits for its turn on a busy machine must not seem to before.
        one = self.cluster(task_managers=2, slots=1, settings={"heartbeat.timeout": "5s"})
        job = self.steady(one, 1, "--pipelines", 2)
        job.wait_checkpoints()
        for nth in range(4):
            before, restarts = one.workers(job=job), job.restarts()
            self.assertEqual(len(before), 2)
            victim, witness = sorted(before)[::1 if nth % 2 == 0 else -1]
            os.kill(victim, signal.SIGKILL)
            self.wait_restarted(one, job, restarts)
            job.wait_checkpoints()
            after = one.workers(job=job)
            self.assertIn(witness, after)
            self.assertNotIn(victim, after)
            self.assertEqual(sorted(after.values()), sorted(before.values()))
            failure = job.get("/exceptions")["exceptionHistory"]["entries"][0]
            self.assertEqual(failure["failureLabels"], {"restarted-tasks": "2 of 4"}, one.logs())
        self.assertEqual(one.worker_logs(job, 2), [])  # all of it was one attempt
        frozen, restarts = min(one.workers(job=job)), job.restarts()
        os.kill(frozen, signal.SIGSTOP)  # nobody knows what it will do: all restart, and it is fenced
        self.wait_restarted(one, job, restarts)
        self.assertNotEqual(one.worker_logs(job, 2), [])
        job.wait_checkpoints()
        self.finish(one, job, 1, "--pipelines", 2)
        program.check_steady(self.directory / "steady-1", cluster.COUNT)

    def test_workers_are_killed_in_each_phase_of_a_checkpoint(self):
        one = self.cluster(task_managers=0, slots=2, faults=True)
        job = self.steady(one, 2)
        for point in WORKER_POINTS:
            nth = 1 if point in ONCE else 2
            faulty = one.start_task_manager(fault=f"{point}:{nth}:kill")
            restarts = 0 if point == WORKER_POINTS[0] else job.restarts()
            one.wait_until(f"a worker was killed at {point}",
                           lambda: job.restarts() > restarts and "SIGKILL" in faulty.said())
            kills.count("worker")
            faulty.kill9()
            one.wait_task_managers(0)
        one.start_task_manager()
        job.wait("RUNNING")
        job.wait_checkpoints()
        self.finish(one, job)


# ---------------------------------------------------------------- job managers


class JobManagers(cluster.ClusterTest):
    def test_while_there_is_no_leader_data_flows_and_afterwards_checkpoints_go_on(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 4)
        job.wait_checkpoints(2)
        self.lose_all_leaders(one, job)
        job.wait_checkpoints(2)
        self.assertEqual(job.state(), "RUNNING")
        self.assertRegex(job.get("/exceptions")["exceptionHistory"]["entries"][-1]["stacktrace"],
                         r"^The job manager has changed: the leader of epoch \d+ has taken the job over, from checkpoint \d")
        one.start_job_manager()
        self.finish(one, job)

    def lose_all_leaders(self, one, job):
        """Nobody leads, because the one that could is frozen; the workers neither end nor stand still."""
        leader = one.leader()
        (standby,) = (it for it in one.job_managers if it is not leader)
        standby.signal(signal.SIGSTOP)
        workers = one.workers(job=job)
        self.assertEqual(len(workers), 2)
        leader.kill9()
        before = cluster.reached(one, job)
        one.wait_until("records flow without a job manager", lambda: cluster.reached(one, job) >= before + 3000)
        self.assertEqual(one.workers(job=job), workers)
        standby.signal(signal.SIGCONT)
        one.leader()
        job.wait("RUNNING")

    def test_a_leader_that_was_frozen_and_wakes_up_can_do_nothing(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 2)
        for _ in range(4 if IS_LONG else 2):
            job.wait_checkpoints(2)
            old = one.leader()
            body = self.submission(one)
            old.signal(signal.SIGSTOP)
            sent = self.send(old.port, body)
            self.assertIsNot(one.leader(), old)
            job.wait("RUNNING")
            job.wait_checkpoints(2)
            old.signal(signal.SIGCONT)
            self.assertNotRegex(self.answer(sent), rb"^HTTP/1.1 2")
            one.wait_until("the old leader has closed its port", lambda: self.is_closed(old.port))
            self.assertFalse(old.has_ended(), old.said())
            self.assertEqual([it["id"] for it in one.get("/v1/jobs")["jobs"]], [job.id])
            job.wait_checkpoints(2)
        self.finish(one, job)

    @staticmethod
    def submission(one):
        digest = one.upload(program.path_of("steady"))
        return f'{{"digest":"{digest}","program":"late","arguments":[]}}'.encode()

    def send(self, port, body):
        sent = socket.create_connection(("127.0.0.1", port), timeout=cluster.LIMIT_S)
        self.addCleanup(sent.close)
        sent.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return sent

    @staticmethod
    def answer(sent):
        """Empty: it was closed without one."""
        try:
            return sent.recv(1 << 16)
        except ConnectionError:
            return b""

    @staticmethod
    def is_closed(port):
        try:
            cluster.request(port, "GET", "/v1/overview")
            return False
        except NoLeader:
            return True

    def test_leaders_are_killed_in_each_phase_of_a_checkpoint(self):
        one = self.cluster(ha=self.file_ha(), faults=True)
        job = self.steady(one, 3)
        job.wait_checkpoints(2)
        one.leader().kill9()
        for point in LEADER_POINTS:  # one at a time: of two candidates either may become the leader
            faulty = one.start_job_manager(fault=f"{point}:{1 if point in ONCE else 2}:kill")
            one.wait_until(f"{faulty.name} ends at {faulty.fault}", faulty.has_ended)
            self.assertTrue(faulty.has_killed_itself(), faulty.said())
        one.start_job_manager()
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    def test_job_managers_killed_frozen_and_stopped_at_random_cost_no_record(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 4)
        rng = random.Random(SEED)
        for _ in range(ROUNDS // 2):
            job.wait_checkpoints(rng.choice((0, 1, 2)))
            time.sleep(rng.uniform(0, 0.3))
            leader, how = one.leader(), rng.choice(("kill", "freeze", "stop"))
            if how == "freeze":
                leader.signal(signal.SIGSTOP)
                self.assertIsNot(one.leader(), leader)
                leader.signal(signal.SIGCONT)
            else:
                leader.kill9() if how == "kill" else self.assertEqual(leader.stop(), 0, leader.said())
                one.job_managers.remove(leader)
                one.start_job_manager()
            job.wait("RUNNING")
            job.wait_checkpoints()
        self.finish(one, job)

    def test_without_high_availability_workers_end_when_a_job_manager_comes_that_does_not_know_them(self):
        one = self.cluster()
        job = self.steady(one, 3)
        job.wait_checkpoints()
        self.assertEqual(len(one.workers(job=job)), 2)
        one.leader().kill9()
        one.start_job_manager()
        one.wait_task_managers(2)
        one.wait_until("no worker is left", lambda: not one.workers())
        self.assertEqual(one.get("/v1/jobs")["jobs"], [])
        program.check_steady(self.directory / "steady", None)


class OnZooKeeper(JobManagers):
    """The same with ZooKeeper; and the server itself may go."""

    @classmethod
    def setUpClass(cls):
        broker.or_skip(zookeeper.require_tools)

    def file_ha(self):
        self.server = zookeeper.ZooKeeper(self.directory / "zookeeper").start()
        self.addCleanup(self.server.close)
        return {"high-availability.type": "zookeeper", "high-availability.storageDir": self.directory / "ha",
                "high-availability.zookeeper.quorum": self.server.quorum,
                "high-availability.zookeeper.client.session-timeout": f"{cluster.LEASE_MS}ms"}

    def test_while_zookeeper_is_away_data_flows_and_afterwards_the_job_goes_on(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 3)
        job.wait_checkpoints(2)
        workers = one.workers(job=job)
        self.server.kill9()
        one.wait_until("nobody leads", lambda: one._leader() is None)
        before = cluster.reached(one, job)
        one.wait_until("records flow", lambda: cluster.reached(one, job) >= before + 3000)
        self.assertEqual(one.workers(job=job), workers)
        self.server.start()
        job.wait("RUNNING")
        job.wait_checkpoints(2)
        self.finish(one, job)

    if not IS_LONG:  # they are about the job manager, whatever elects it
        test_leaders_are_killed_in_each_phase_of_a_checkpoint = None
        test_job_managers_killed_frozen_and_stopped_at_random_cost_no_record = None
        test_without_high_availability_workers_end_when_a_job_manager_comes_that_does_not_know_them = None


# ---------------------------------------------------------------- what is asked for


class Commands(cluster.ClusterTest):
    def test_a_job_is_rescaled_up_and_down_under_load(self):
        one = self.cluster(slots=2, settings=cluster.PATIENT)
        job = self.steady(one, 1)
        job.wait_checkpoints()
        for parallelism in (2, 4, 3, 1):
            job.rescale(parallelism)
            job.wait("RUNNING")
            self.assertEqual(job.parallelism(), parallelism)
            one.wait_free_slots(4 - parallelism)
            job.wait_checkpoints()
        self.finish(one, job, parallelism=4)

    def test_a_rescale_that_cannot_be_is_refused_and_the_job_goes_on(self):
        one = self.cluster(slots=2, settings=cluster.PATIENT)
        job = self.steady(one, 3)
        job.wait_checkpoints()
        for parallelism, words in (
                (5, "needs more slots (5) than the 1 that are free and the 3 that the job has; start"),
                (1000, "a maximum of 128, which its first start fixes (--max-parallelism); ask"),
                (0, "parallelism=1..")):
            with self.assertRaises(Refused) as refused:
                job.rescale(parallelism)
            self.assertIn(words, refused.exception.text)
        self.assertEqual(job.parallelism(), 3)
        job.wait_checkpoints()
        self.assertEqual(job.restarts(), 0)

    def test_a_rescale_during_which_task_managers_are_killed_ends_one_way_or_the_other(self):
        one = self.cluster(task_managers=3, slots=2)
        job = self.steady(one, 2)
        for parallelism in (4, 2):
            job.wait_checkpoints()
            key = one.ask("PATCH", f"{job.path}/rescaling?parallelism={parallelism}")
            victim = one.task_managers.pop(0)
            victim.kill9()
            one.start_task_manager()
            try:
                job._operation("rescaling", key)
            except Refused:
                pass  # it has said so
            job.wait("RUNNING")
            one.wait_task_managers(3)
            job.wait_checkpoints()
        job.rescale(3)
        self.assertEqual(job.parallelism(), 3)
        self.finish(one, job)

    def test_a_rescale_whose_planner_falls_silent_is_planned_by_another_one(self):
        one = self.cluster(slots=2)
        job = self.steady(one, 1)
        job.wait_checkpoints()
        (busy,) = one.workers(job=job).values()
        idle = next(it for it in one.task_managers if it.name != busy)
        idle.signal(signal.SIGSTOP)  # it has the most slots to spare: it is asked
        job.rescale(2)
        self.assertIn("lost: it has said nothing", one.leader().said())
        self.assertEqual(job.parallelism(), 2)
        self.assertEqual(set(one.workers(job=job).values()), {busy})
        idle.signal(signal.SIGCONT)
        one.wait_task_managers(2)
        self.finish(one, job)

    def test_a_leader_that_is_killed_after_a_rescale_is_followed_by_one_that_keeps_it(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.steady(one, 4)
        job.wait_checkpoints()
        job.rescale(2)
        one.leader().kill9()
        job.wait("RUNNING")
        job.wait_checkpoints()
        self.assertEqual(job.parallelism(), 2)
        one.wait_until("no worker of an older attempt is left", lambda: len(one.workers(job=job)) == 1)
        one.start_job_manager()
        self.finish(one, job)

    def test_a_drain_ends_the_stream_and_a_cancel_ends_the_job_and_frees_its_slots(self):
        one = self.cluster(slots=2, settings=cluster.PATIENT)
        job, other = self.steady(one, 2), self.steady(one, 2, name="other")
        job.wait_checkpoints()
        other.wait_checkpoints()
        self.assertTrue((job.stop(self.directory / "savepoints", drain=True) / "_metadata").exists())
        job.wait("FINISHED")
        wrote, read = job.vertices()[0]["metrics"]["write-records"], job.vertices()[-1]["metrics"]["read-records"]
        self.assertGreater(wrote, 0)
        self.assertEqual(read, wrote)  # the last of them, which no heartbeat has told
        other.cancel()
        one.wait_until("no worker is left", lambda: not one.workers())
        one.wait_free_slots(4)
        for name in ("steady", "other"):
            self.assertGreater(program.check_steady(self.directory / name, None), 0)

    def test_a_job_goes_on_while_savepoints_are_made_of_it(self):
        one = self.cluster(slots=2, settings=cluster.PATIENT)
        job = self.steady(one, 3)
        job.wait_checkpoints()
        first = job.savepoint(self.directory / "savepoints")
        job.wait_checkpoints()
        self.assertNotEqual(job.savepoint(self.directory / "savepoints", cancel=True), first)
        job.wait("CANCELED")
        self.assertEqual(job.restarts(), 0)


# ---------------------------------------------------------------- what jobs do


class Leaving(cluster.ClusterTest):
    def placed(self, one, job):
        """The task managers that have workers of it."""
        names = set(one.workers(job=job).values())
        return [daemon for daemon in one.task_managers if daemon.name in names]

    def test_a_task_manager_that_gets_sigterm_ends_when_its_jobs_have_left(self):
        one = self.cluster(task_managers=2, slots=2, settings=cluster.PATIENT)
        job = self.steady(one, 2)
        job.wait_checkpoints()
        (first,) = self.placed(one, job)
        completed = job.completed()
        self.assertEqual(first.stop(), 0, first.said())
        self.assertIn("ends, and with it 0 workers", first.said())
        job.wait("RUNNING")
        (second,) = self.placed(one, job)
        self.assertNotEqual(second, first)
        self.assertGreater(job.completed(), completed)
        self.assertEqual(second.stop(), 0, second.said())
        job.wait("CREATED")  # it waits for slots
        one.start_task_manager()
        job.wait("RUNNING")
        self.assertEqual(job.failure(), "")
        self.assertEqual(job.restarts(), 0)
        self.finish(one, job)

    def test_a_job_that_cannot_leave_is_waited_for_until_the_time_out_or_a_second_sigterm(self):
        one = self.cluster(task_managers=0, settings=cluster.PATIENT)
        one.start_task_manager(taskmanager__shutdown_timeout="600s")
        job = self.steady(one, 2)
        job.wait_checkpoints()
        for last in (False, True):
            (daemon,) = self.placed(one, job)
            for worker in one.workers(job=job):
                os.kill(worker, signal.SIGSTOP)
            daemon.signal(signal.SIGTERM)
            one.wait_until("it waits", lambda: "leaves when its jobs have" in daemon.said())
            heard = time.monotonic()
            one.start_task_manager(taskmanager__shutdown_timeout="500ms")
            if not last:
                # Two within 50 ms of its clock are one, of timeout(1), which signals the process and its group.
                one.wait_until("another signal is another one", lambda: time.monotonic() > heard + 0.1)
                self.assertFalse(daemon.has_ended())
                daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(cluster.LIMIT_S), 0, daemon.said())
            self.assertIn("ends, and with it 1 worker", daemon.said())
            job.wait("RUNNING")
            job.wait_checkpoints()
        job.stop(self.directory / "savepoints")
        job.wait("FINISHED")
        self.assertGreater(program.check_steady(self.directory / "steady", None), 0)

    def test_what_killed_daemons_have_left_goes_at_the_next_start(self):
        one = self.cluster(task_managers=2, slots=1)
        job = one.submit("steady", "--count", cluster.COUNT, "--rate", 100, "--output", self.directory / "steady")
        job.wait("RUNNING")

        def owned():
            return set((self.directory / "tmp").glob("weir.*"))
        before = owned()
        self.assertEqual(len(before), 3)
        (led,) = [path for path in before if "jobmanager" in path.name]
        self.assertTrue(list(led.glob("weir.checkpoints.*")))
        one.task_managers[0].kill9()
        one.start_task_manager()
        one.wait_until("one is gone, one is new", lambda: len(owned()) == 3 and len(before & owned()) == 2)
        self.assertIn(led, owned())
        (leader,) = one.job_managers
        self.assertEqual(leader.stop(), 0, leader.said())
        self.assertNotIn(led, owned())


class Rogues(cluster.ClusterTest):
    def rogue(self, one, crime, *options):
        return one.submit("rogue", "--crime", crime, "--output", self.directory / f"rogue-{crime}", "--restart", "fixed",
                          "--restart-attempts", 1, "--restart-delay", "20ms", *options)

    def beside(self, one, doings):
        """A healthy job notices nothing of it."""
        healthy = self.steady(one, 2)
        healthy.wait_checkpoints()
        workers = one.workers(job=healthy)
        doings()
        healthy.wait_checkpoints(2)
        self.assertEqual(healthy.restarts(), 0)
        self.assertEqual(one.workers(job=healthy), workers)
        self.finish(one, healthy)

    def limit_cores(self, is_unlimited):
        """Of the processes that are started from here on."""
        before = resource.getrlimit(resource.RLIMIT_CORE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1] if is_unlimited else 0, before[1]))

    def test_what_user_code_does_wrong_ends_its_own_job_only_and_is_told(self):
        self.limit_cores(False)
        one = self.cluster(slots=2, settings={"taskmanager.worker.watchdog": "3s", **cluster.PATIENT,
                                              "taskmanager.memory.process.size": "256MB"})
        where = r"in operator 'commit' \(1/1\), at or before record \d+ of this attempt"
        told = {"crash": rf"by SIGSEGV \(no core: RLIMIT_CORE is 0\); its last words: SIGSEGV {where}\Z",
                "abort": rf"by SIGABRT \(no core: RLIMIT_CORE is 0\); its last words: SIGABRT {where}\Z",
                "exit": rf"it ended with status 21; its last words: exit\(3\) {where}\Z",
                "loop": rf"vertex '.*' \(1/1\) has not come back .* for more than 3 s: it loops, .*, {where}; work",
                "hog": r"MB of memory.*; its tasks, as last heard: 'ticks-0' \(1/1\) at record \d+, '.*commit.*' "
                       r"\(1/1\) at record \d+\Z",
                "fail": "is not to my taste"}

        def doings():
            for crime, words in told.items():
                with self.subTest(crime):
                    job = self.rogue(one, crime)
                    job.wait("FAILED")
                    self.assertRegex(job.failure(), words)
                    self.check_place(one, job, None if crime == "hog" else "commit")
                    one.wait_free_slots(2)
        self.beside(one, doings)

    def check_place(self, one, job, operator):
        """The failure names the vertex of the operator, and where it ran. None: nobody can know the vertex."""
        entry = job.get("/exceptions")["exceptionHistory"]["entries"][0]
        manager = entry["taskManagerId"]
        self.assertIn(manager, [it["id"] for it in one.get("/v1/taskmanagers")["taskmanagers"]])
        self.assertEqual(entry["endpoint"], manager)
        if operator is None:
            self.assertRegex(entry["taskName"], rf"\Aone of the tasks on {manager} \(attempt \d+\)\Z")
            return
        (vertex,) = (it["name"] for it in job.vertices() if operator in it["name"])
        self.assertRegex(entry["taskName"], rf"\A{re.escape(vertex)} - subtask 1 \(attempt \d+\)\Z")

    def test_of_a_crash_the_place_in_the_input_and_the_core_are_told(self):
        self.limit_cores(True)
        lines = [f'{{"index":{i:8d}}}\n' for i in range(5000)]
        (self.directory / "input").mkdir()
        (self.directory / "input" / "ticks.ndjson").write_text("".join(lines))
        one = self.cluster(task_managers=1, slots=1)
        job = self.rogue(one, "abort", "--at", 3000, "--input", self.directory / "input")
        job.wait("FAILED")
        self.check_place(one, job, "commit")
        self.check_core(one, job.failure())
        found = re.search(r"SIGABRT in operator 'commit' \(1/1\), at or before record (\d+) of this attempt: "
                          r"file 'ticks.ndjson', bytes (\d+) to (\d+)\Z", job.failure())
        self.assertIsNotNone(found, job.failure())
        record, first, last = (int(number) for number in found.groups())
        size = len(lines[0])
        self.assertEqual((first % size, (last + 1) % size), (0, 0))
        self.assertTrue(first // size <= 3000 <= last // size, job.failure())
        self.assertLessEqual((last + 1 - first) // size, 256)
        self.assertEqual(record, (last + 1) // size)
        (self.directory / "rogue-none.closed").touch()
        planner = self.rogue(one, "none")
        planner.wait("FAILED")
        self.assertIn("it was killed by SIGABRT (", planner.failure())
        self.check_core(one, planner.failure())

    def check_core(self, one, text):
        """A core is where it is said to be, if this machine keeps cores in the directory of the process."""
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().rstrip("\n")
        if resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
            self.assertIn("SIGABRT (no core: RLIMIT_CORE is 0)", text)
            return
        if pattern[0] in "|/":
            self.assertRegex(text, rf"SIGABRT \((no core|core dumped by core_pattern '{re.escape(pattern)}')\)")
            return
        found = re.search(r"SIGABRT \(core dumped: '(.+)'\)", text)
        self.assertIsNotNone(found, text)
        core = pathlib.Path(found[1])
        self.assertEqual(core.parent.name, "cores")
        self.assertTrue(core.is_relative_to(self.directory / "tmp"))
        with core.open("rb") as file:
            self.assertEqual((file.read(4), file.seek(16), file.read(2)), (b"\x7fELF", 16, b"\x04\x00"))
        one.wait_until("the directory of the worker is gone", lambda: not list(
            path for path in (self.directory / "tmp").glob("weir.*/*") if path.name.startswith(core.name)))
        self.assertTrue(core.exists())

    def test_what_cannot_run_fails_with_a_clear_word_and_costs_nobody_anything(self):
        one = self.cluster(slots=2, settings=cluster.PATIENT)

        def doings():
            for job, words in self.impossible(one):
                with self.subTest(words):
                    job.wait("FAILED")
                    self.assertIn(words, job.failure())
            one.wait_free_slots(2)
        self.beside(one, doings)

    def impossible(self, one):
        """(a job that was submitted, words of why it fails)"""
        script, alien = self.directory / "script", self.directory / "alien"
        script.write_bytes(b"this is no program\n")
        header = bytearray(program.path_of("steady").read_bytes()[:4096])
        header[18:20] = (0xB7 if header[18] != 0xB7 else 0x3E).to_bytes(2, "little")  # of the machine
        alien.write_bytes(header)
        silent = pathlib.Path("/bin/true")
        yield one.submit(script), "no program for this machine"
        yield one.submit(alien), "no program for this machine"
        yield one.submit(silent), "plan"
        yield self.rogue(one, "plan"), "depends on something besides its arguments"
        yield self.rogue(one, "none", "--no-such-option", 1), "there is no option '--no-such-option'"
        yield self.rogue(one, "none", "--parallelism", 1000), "parallelism"
        yield one.submit("steady", "--output", "relative", "--checkpoints", "relative"), "from the root"

    def test_a_job_that_has_run_does_not_fail_because_a_new_leader_cannot_plan_it_at_once(self):
        one = self.cluster(job_managers=2, ha=self.file_ha())
        job = self.rogue(one, "none", "--checkpoints", self.checkpoints, "--checkpoint-interval", "100ms")
        job.wait_checkpoints()
        closed = self.directory / "rogue-none.closed"
        closed.touch()
        one.leader().kill9()
        one.wait_until("it was planned in vain", lambda: "cannot be planned now" in one.leader().said())
        closed.unlink()
        job.wait("RUNNING")
        job.wait_checkpoints()
        closed.touch()
        self.rogue(one, "none").wait("FAILED")  # of a new one it is told at once

    def test_a_job_that_waits_for_slots_says_so_and_runs_when_they_come(self):
        one = self.cluster(task_managers=1, slots=2)
        job = self.steady(one, 4)
        one.wait_until("it has a plan", lambda: job.vertices())
        job.wait("CREATED", "INITIALIZING")
        self.assertEqual(one.workers(), {})
        one.wait_free_slots(2)
        one.start_task_manager()
        job.wait("RUNNING")
        job.wait_checkpoints()
        self.finish(one, job)

    def test_what_was_not_uploaded_or_is_not_what_it_says_is_refused(self):
        one = self.cluster(task_managers=0)
        leader = one.leader()
        for digest, status in (("0" * 64, 400), ("../" * 21 + "x", 400), ("", 400)):
            with self.assertRaises(Refused) as refused:
                cluster.request(leader.port, "POST", "/v1/jobs", {"digest": digest, "program": "x", "arguments": []})
            self.assertEqual(refused.exception.status, status)
        with self.assertRaises(Refused) as refused:
            cluster.request(leader.port, "PUT", f"/v1/blobs/{'0' * 64}", b"something else")
        self.assertEqual(refused.exception.status, 400)
        self.assertEqual(one.get("/v1/jobs")["jobs"], [])


if __name__ == "__main__":
    unittest.main()
