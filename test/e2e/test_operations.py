#!/usr/bin/env python3
"""A cluster as those see it who must find out at night what is wrong with it: logs, addresses, states.

What   The command weir against real processes. That what a job's workers have printed can be read when they are gone,
       and nothing else on the machine can. That systemd is told when a daemon is ready.
How    No broker is needed.
"""
import http.client
import os
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import cluster  # noqa: E402
import program  # noqa: E402
import zookeeper  # noqa: E402
from program import ProgramTest  # noqa: E402

LIMIT_S = 60


class OperationsTest(ProgramTest):
    def cluster(self, **options):
        one = cluster.Cluster(self.directory, **options)
        self.addCleanup(one.close)
        return one

    def weir(self, *words, status=0, env=None):
        """What the command prints; on standard error if it fails as it must."""
        argv = [program.BIN / "weir", *(str(word) for word in words)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False,
                              env={**os.environ, "WEIR_CONF": os.devnull, **(env or {})})
        self.assertEqual(done.returncode, status, f"{words}\n{done.stdout}\n{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def address(self, one):
        return f"localhost:{one.leader().port}"


class Logs(OperationsTest):
    def crash(self, one):
        job = one.submit("rogue", "--crime", "crash", "--at", 2000, "--output", self.directory / "out",
                         "--restart", "none")
        job.wait("FAILED")
        return job

    def test_the_last_words_of_a_job_that_has_crashed_are_in_its_logs(self):
        one = self.cluster(task_managers=2, slots=1)
        job = self.crash(one)
        at = self.address(one)
        said = self.weir("logs", job.id, "-m", at)
        self.assertIn("SIGSEGV in operator", said)
        self.assertIn(f"{job.id}-", said.splitlines()[0])
        self.assertEqual(self.weir("logs", "-f", "rogue", "-m", at), said)  # over: it ends by itself
        self.assertIn("has a log of job", self.weir("logs", job.id, "--worker", 7, "-m", at, status=1))
        self.assertIn(f"job {job.id} (rogue) is FAILED", self.weir("logs", "jobmanager", "-m", at))
        title, *lines = self.weir("logs", "-m", at).splitlines()
        self.assertEqual(title.split(), ["PROCESS", "LOG", "BYTES", "OF"])
        names = [line.split(maxsplit=3) for line in lines]
        self.assertEqual({what.split()[0] for *_, what in names}, {"the", "worker", "a"})
        ran = next(process for process, name, *_ in names if name.startswith(job.id) and process != "jobmanager")
        self.assertIn(f"worker {job.id}", self.weir("logs", ran, "-m", at))
        self.assertIn("SIGSEGV", one.get(f"/v1/jobs/{job.id}/exceptions")["root-exception"])

    def test_whoever_starts_again_shows_what_the_one_before_has_left(self):
        one = self.cluster(task_managers=1, slots=1)
        job = self.crash(one)
        one.task_managers[0].kill9()
        one.wait_task_managers(0)
        self.assertIn("has a log of job", self.weir("logs", job.id, "-m", self.address(one), status=1))
        one.start_task_manager()
        one.wait_task_managers(1)
        self.assertIn("SIGSEGV in operator", self.weir("logs", job.id, "-m", self.address(one)))

    def test_no_name_leads_out_of_the_logs(self):
        one = self.cluster(task_managers=1, slots=1)
        (self.directory / "tmp" / "secret").write_text("secret")
        manager = one.get("/v1/taskmanagers")["taskmanagers"][0]["id"]
        names = ["../../secret", "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "..", ".", "%2fetc%2fpasswd",
                 "..%5c..%5csecret", "%00", "taskmanager.log%00", "....//....//secret", "taskmanager.log/../x"]
        for base in ("jobmanager", f"taskmanagers/{manager}"):
            for name in names:
                status, text = self.raw(one, f"/v1/{base}/logs/{name}")
                self.assertIn(status, (400, 404), f"{name}: {text}")
                self.assertNotIn("secret\n", text)
            self.assertEqual(self.raw(one, f"/v1/{base}/log")[0], 200)
            self.assertEqual(self.raw(one, f"/v1/{base}/stdout")[0], 200)
        self.assertEqual(self.raw(one, "/v1/taskmanagers/nobody/log")[0], 404)

    def raw(self, one, path):
        connection = http.client.HTTPConnection("127.0.0.1", one.leader().port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


class Address(OperationsTest):
    def test_a_cluster_that_was_started_here_is_found_at_any_port(self):
        env = {"WEIR_HOME": str(self.directory / "home")}
        rest = cluster.free_port()
        self.addCleanup(self.weir, "cluster", "stop", env=env)
        self.weir("cluster", "start", "-D", f"rest.port={rest}", "-D", f"jobmanager.rpc.port={cluster.free_port()}",
                  "-D", f"io.tmp.dirs={self.directory}", "-D", "heartbeat.timeout=3s", env=env)
        self.assertIn("No running jobs.", self.weir("list", env=env))
        self.assertIn(f"REST on localhost:{rest}", self.weir("logs", "jobmanager", env=env))
        said = self.weir("cluster", "status", env=env)
        self.assertIn("1 task manager, 1 of 1 slot free, 0 jobs running", said)
        (pid,) = (line.split()[1] for line in said.splitlines() if line.startswith("taskmanager-1 "))
        self.assertNotIn("not registered", said)
        os.kill(int(pid), signal.SIGSTOP)
        said = cluster.wait_until("it is missed", lambda: self.missed(env))
        self.assertIn(f"'kill -CONT {pid}' lets it go on", said)
        self.assertIn("0 task managers, 0 of 0 slots free", said)
        os.kill(int(pid), signal.SIGKILL)
        self.assertIn("Started taskmanager-1; the cluster has 1 task manager with 1 slot:",
                      cluster.wait_until("its end is seen", lambda: self.start_again(env)))
        self.weir("cluster", "stop", env=env)
        self.assertNotIn(str(rest), self.weir("list", "-D", f"rest.port={cluster.free_port()}", status=1, env=env))

    def missed(self, env):
        """None: the task manager that is frozen still counts."""
        done = subprocess.run([program.BIN / "weir", "cluster", "status"], text=True,
                              env={**os.environ, "WEIR_CONF": os.devnull, **env}, capture_output=True,
                              timeout=LIMIT_S, check=False)
        is_missed = "taskmanager-1 is alive, but not registered" in done.stdout
        self.assertEqual(done.returncode, int(is_missed), done.stdout + done.stderr)
        return done.stdout if is_missed else None

    def start_again(self, env):
        """None: the one that was killed has not ended yet."""
        done = subprocess.run([program.BIN / "weir", "cluster", "start"], text=True,
                              env={**os.environ, "WEIR_CONF": os.devnull, **env}, capture_output=True,
                              timeout=LIMIT_S, check=False)
        self.assertTrue(done.returncode == 0 or "runs in" in done.stderr, done.stderr)
        return done.stdout


class Notify(ProgramTest):
    def test_the_daemons_tell_systemd_when_they_are_ready_and_when_they_end(self):
        # as units of Type=notify do: whoever is started behind them finds that they answer
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(os.fspath(self.directory / "notify"))
            systemd.settimeout(LIMIT_S)
            port = cluster.free_port()
            options = [part for key, value in (("rest.port", port), ("jobmanager.rpc.port", cluster.free_port()),
                                               ("io.tmp.dirs", self.directory)) for part in ("-D", f"{key}={value}")]
            env = {**os.environ, "NOTIFY_SOCKET": os.fspath(self.directory / "notify")}
            daemons = []
            for name in ("weir-jobmanager", "weir-taskmanager"):
                daemons.append(self.start(name, "--conf", os.devnull, *options, env=env))
                self.assertEqual(systemd.recv(100), b"READY=1")
                self.assertIn("taskmanagers", cluster.request(port, "GET", "/v1/overview"))
            for daemon in reversed(daemons):
                daemon.process.terminate()
                self.assertEqual(systemd.recv(100), b"STOPPING=1")
                self.assert_well(daemon.end())


class Standby(OperationsTest):
    """Whoever does not lead says who does."""

    def ha(self):
        return {"high-availability.type": "file", "high-availability.storageDir": self.directory / "ha",
                "high-availability.file.lease": f"{cluster.LEASE_MS}ms"}

    def check(self, ha):
        one = self.cluster(task_managers=1, slots=1, job_managers=2, ha=ha)
        leader = one.leader()
        (standby,) = (it for it in one.job_managers if it is not leader)
        one.wait_until("the standby knows the leader", lambda: self.ask(standby)[0] == 307)
        status, location, text = self.ask(standby, "/v1/jobs/overview?x=y%20z")
        self.assertEqual((status, location), (307, f"http://localhost:{leader.port}/v1/jobs/overview?x=y%20z"))
        self.assertIn(f"http://localhost:{leader.port} leads", text)
        job = self.weir("run", "-d", "-m", f"localhost:{standby.port}", program.path_of("steady"), "--rate", 100,
                        "--output", self.directory / "out").split()[-1]
        both = f"localhost:{standby.port},localhost:{leader.port}"
        self.assertIn(job, self.weir("list", "-m", both))
        leader.kill9()
        one.wait_until("the standby leads", lambda: one.leader() is standby)
        one.wait_task_managers(1)
        self.assertIn(job, self.weir("list", "-a", "-m", f"localhost:{leader.port},localhost:{standby.port}"))
        self.weir("cancel", job, "-m", both)

    def ask(self, daemon, path="/v1/overview"):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location"), answer.read().decode()
        finally:
            connection.close()

    def test_by_files(self):
        self.check(self.ha())

    def test_by_zookeeper(self):
        broker.or_skip(zookeeper.require_tools)
        server = zookeeper.ZooKeeper(self.directory / "zookeeper").start()
        self.addCleanup(server.close)
        self.check({"high-availability.type": "zookeeper", "high-availability.storageDir": self.directory / "ha",
                    "high-availability.zookeeper.quorum": server.quorum,
                    "high-availability.zookeeper.client.session-timeout": f"{cluster.LEASE_MS}ms"})


if __name__ == "__main__":
    unittest.main()
