"""The faults of a soak: each kind takes its turn, in an order drawn from a seed, and each is recovered from.

What   Faults(plant, seed).next() does one to the plant and returns a sentence once all is as it was: both task managers there,
       somebody leads, every job runs and completes checkpoints. A plant that does not come back within a limit is an
       AssertionError. NotPossible: this machine does not permit it (no strace, no network of its own); it is left out from then on.
How    `KINDS` are methods. Whoever is hurt is drawn: a worker of any job, either task manager, the leader.
"""

import contextlib
import random
import signal
import time

import cluster
import network
import strace

STALE_S = cluster.LEASE_MS / 1000 * 3  # longer than heartbeats and lease allow
SLOW_SYNC_US = 200_000
NOTICE_S = 60


class NotPossible(Exception):
    """The text says what is missing."""


class Faults:
    def __init__(self, plant, seed):
        self.plant, self.one, self.random = plant, plant.one, random.Random(seed)
        self.kinds = list(KINDS)
        self.round = []
        self.impossible = {}  # kind: why

    def next(self):
        """Of each kind one, then again in another order."""
        if not self.round:
            self.round = self.random.sample(self.kinds, len(self.kinds))
        kind = self.round.pop()
        try:
            said = getattr(self, kind)()
        except NotPossible as why:
            self.kinds.remove(kind)
            self.impossible[kind] = str(why)
            return f"{kind}: left out, {why}"
        self.plant.is_well()
        return f"{kind}: {said}"

    # ------------------------------------------------------------ whom

    def any_job(self):
        """(name, job)"""
        return self.random.choice(sorted(self.plant.jobs.items()))

    def any_worker(self):
        """(name of its job, pid)"""
        name, job = self.any_job()
        workers = self.one.wait_until(f"{name} has workers", lambda: self.one.workers(job=job))
        return name, self.random.choice(sorted(workers))

    def noticed(self, name, restarts):
        self.one.wait_until(f"{name} has noticed", lambda: self.plant.jobs[name].restarts() > restarts, NOTICE_S)

    # ------------------------------------------------------------ processes

    def kill_worker(self):
        name, pid = self.any_worker()
        restarts = self.plant.jobs[name].restarts()
        cluster.hurt(pid)
        self.noticed(name, restarts)
        return name

    def freeze_worker(self):
        name, pid = self.any_worker()
        restarts = self.plant.jobs[name].restarts()
        cluster.hurt(pid, signal.SIGSTOP)
        self.noticed(name, restarts)
        self.plant.is_well([name])  # and it wakes up behind it
        cluster.hurt(pid, signal.SIGCONT)
        return name

    def lose_task_manager(self):
        daemon = self.random.choice(self.one.task_managers)
        daemon.kill9()
        self.one.task_managers.remove(daemon)
        self.one.start_task_manager()
        return daemon.name

    def freeze_task_manager(self):
        daemon = self.random.choice(self.one.task_managers)
        daemon.signal(signal.SIGSTOP)
        self.one.wait_task_managers(1)
        daemon.signal(signal.SIGCONT)
        return daemon.name

    def kill_leader(self):
        leader = self.one.leader()
        leader.kill9()
        self.one.job_managers.remove(leader)
        self.one.start_job_manager()
        return leader.name

    def freeze_leader(self):
        leader = self.one.leader()
        leader.signal(signal.SIGSTOP)
        try:
            self.one.wait_until("another one leads", lambda: self.one.leader() is not leader)
        finally:
            leader.signal(signal.SIGCONT)
        return leader.name

    # ------------------------------------------------------------ operations

    def rescale(self):
        name, job = self.any_job()
        old = job.parallelism()
        job.rescale(3 if old == 2 else 2)
        return f"{name}, {old} to {job.parallelism()}"

    def stop_and_restore(self):
        name, _ = self.any_job()
        self.plant.replace(name)
        return name

    # ------------------------------------------------------------ disks, network, broker

    def fail_syncs(self):
        return self._inject("error=EIO", lambda said: "Input/output error" in said)

    def slow_syncs(self):
        return self._inject(f"delay_exit={SLOW_SYNC_US}", lambda said: True)

    def _inject(self, fate, is_noticed):
        name, pid = self.any_worker()
        leader = self.one.leader()
        begun = len(leader.said())
        try:
            with strace.injected(pid, fate, self.plant.directory / "strace"):
                self.one.wait_until("it is noticed", lambda: is_noticed(leader.said()[begun:]), NOTICE_S)
                time.sleep(STALE_S)  # the fault lasts, that is all
        except strace.NotPermitted as why:
            raise NotPossible(why) from None
        return f"a worker of {name}"

    def cut_connection(self):
        """Of a worker, to whomever it has one: nothing comes through any more, in one direction or in both."""
        if not network.is_inside():
            raise NotPossible("unshare --net is not permitted")
        name, found = self.one.wait_until("a worker has connections", self.connected_worker)
        ours, theirs = self.random.choice(found)
        ways = self.random.choice([[(ours, theirs)], [(theirs, ours)], [(ours, theirs), (theirs, ours)]])
        with contextlib.ExitStack() as healed:
            for way in ways:
                network.cut(*way)
                healed.callback(network.heal, *way)
            time.sleep(STALE_S * 2)  # the fault lasts, that is all
        return f"{name}, {len(ways)} ways, to {self.who_has(theirs)}"

    def connected_worker(self):
        """(name of its job, its connections), or None: it has none, or has just ended."""
        name, pid = self.any_worker()
        try:
            found = network.connections(pid)
        except OSError:
            return None
        return (name, sorted(found)) if found else None

    def who_has(self, port):
        if port in [int(address.rpartition(":")[2]) for address in self.plant.broker.bootstrap.split(",")]:
            return "the broker"
        return "the cluster"

    def kill_broker(self):
        node = self.random.randint(1, self.plant.brokers)
        self.plant.broker.kill9(node)
        self.plant.broker.restart(node)
        return f"node {node}"

    def freeze_broker(self):
        node = self.random.randint(1, self.plant.brokers)
        self.plant.broker.pause(node)
        time.sleep(STALE_S)  # the fault lasts, that is all
        self.plant.broker.resume(node)
        return f"node {node}"


KINDS = ("kill_worker", "freeze_worker", "lose_task_manager", "freeze_task_manager", "kill_leader", "freeze_leader", "rescale",
         "stop_and_restore", "fail_syncs", "slow_syncs", "cut_connection", "kill_broker", "freeze_broker")
