"""Links between the processes of a cluster that lose everything, or what goes in one direction: every record exactly once.

What   The connection of a task manager or a worker to its job manager, and those between workers, fall silent; for each
       of them, what goes this way or that way is lost while the other side is still heard (network.py). Also with TLS.
How    Whoever hears nothing for a heartbeat's timeout takes the other for lost: the job restarts on others, or on the same
       ones. A partition between job managers: test_election.py.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster  # noqa: E402
import network  # noqa: E402
import secure  # noqa: E402
from cluster import Proxy  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
WAYS = [(1,), (-1,), (1, -1)][:3 if IS_LONG else 2]


class Silence(cluster.ClusterTest):
    """A link falls silent, and stays so."""

    def test_a_worker_that_the_job_manager_hears_no_more_is_replaced(self):
        one = self.cluster(task_managers=0)
        proxies = [Proxy(one.rpc_port) for _ in range(2)]
        for proxy in proxies:
            self.addCleanup(proxy.close)
            one.start_task_manager(jobmanager__rpc__port=proxy.port)
        one.wait_task_managers(2)
        job = self.steady(one, 4)
        job.wait_checkpoints(2)
        restarts = job.restarts()
        proxies[0].silence(-1)  # the worker's own; that of its task manager is the first
        self.wait_restarted(one, job, restarts)
        self.assertIn("has said nothing for", job.failure())
        one.wait_task_managers(2)
        job.wait_checkpoints(2)
        self.finish(one, job)

    def test_a_task_manager_that_the_job_manager_hears_no_more_is_lost_and_comes_back(self):
        one = self.cluster(task_managers=0)
        proxy = Proxy(one.rpc_port)
        self.addCleanup(proxy.close)
        one.start_task_manager(jobmanager__rpc__port=proxy.port)
        one.start_task_manager()
        one.wait_task_managers(2)
        job = self.steady(one, 4)
        job.wait_checkpoints(2)
        restarts = job.restarts()
        proxy.silence(0)
        self.wait_restarted(one, job, restarts)
        job.wait_checkpoints(2)
        self.assertIn("is lost", one.leader().said())
        self.finish(one, job)


class OneWay(secure.SecureTest, cluster.ClusterTest):
    """A connection is asked for when there are workers: (port of the one, port of the other)."""

    def job_manager_and_worker(self):
        worker = sorted(self.one.workers(job=self.job))[0]
        return next((rpc, port) for port, rpc in network.connections(worker) if rpc == self.one.rpc_port)

    def job_manager_and_task_manager(self):
        daemon = self.one.task_managers[0]
        return next((rpc, port) for port, rpc in network.connections(daemon.pid) if rpc == self.one.rpc_port)

    def worker_and_worker(self):
        first, second = (network.connections(pid) for pid in sorted(self.one.workers(job=self.job)))
        return next(pair for pair in first if pair[::-1] in second)

    def lose(self, connection, steps):
        """What goes from the one to the other (1), back (-1), or both, until the job has noticed."""
        job = self.job
        job.wait("RUNNING")
        self.one.wait_until("there are two workers", lambda: len(self.one.workers(job=job)) == 2)
        job.wait_checkpoints(2)
        restarts, ports = job.restarts(), connection()
        for step in steps:
            network.cut(*ports[::step])
        self.one.wait_until("the job has noticed", lambda: job.restarts() > restarts)
        for step in steps:
            network.heal(*ports[::step])
        self.wait_restarted(self.one, job, restarts)
        self.one.wait_task_managers(2)
        for daemon in self.one.job_managers + self.one.task_managers:
            self.assertFalse(daemon.has_ended(), daemon.said())

    def lose_each(self):
        self.job = self.steady(self.one, 4)
        for connection in (self.job_manager_and_worker, self.job_manager_and_task_manager, self.worker_and_worker):
            for steps in WAYS:
                with self.subTest(f"{connection.__name__} {steps}"):
                    self.lose(connection, steps)
        self.job.wait_checkpoints(2)
        self.finish(self.one, self.job)

    def test_what_is_lost_one_way_costs_no_record(self):
        if not network.is_inside():
            return network.inside(self, __file__)
        self.make_certificates()
        settings = {**self.tls(mutual=True), "security.token-file": self.token_file}
        self.one = self.start_cluster(context=self.context("machine"), token=secure.TOKEN, settings=settings)
        self.lose_each()

    @unittest.skipUnless(IS_LONG, "WEIR_TEST_LONG=1 runs it")
    def test_what_is_lost_one_way_without_tls_costs_no_record(self):
        if not network.is_inside():
            return network.inside(self, __file__)
        self.one = self.cluster()
        self.lose_each()


if __name__ == "__main__":
    unittest.main()
