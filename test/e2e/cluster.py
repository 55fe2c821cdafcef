"""A cluster of Weir as real processes: job managers, task managers, and the workers that those start.

What   Cluster(directory) starts build/bin's daemons on free ports of 127.0.0.1 and is ready when its task managers
       have registered. Job is one that was submitted: asked, waited for and commanded by REST only.
How    Every wait is for something that REST, a log or the process table shows, and has an end. Logs are
       <directory>/jm-<i>.log and tm-<i>.log; those of workers and planners lie in the log directories of the
       task managers, below <directory>/tmp. Nothing outlives the test: daemons die with it (broker.spawn), workers
       with their task manager (the kernel does it).
"""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import threading
import time

import broker
import kills
import program

LIMIT_S = 60
LOG_TAIL = 3000
HEARTBEAT = {"heartbeat.interval": "200ms", "heartbeat.timeout": "2s"}
# For tests in which nobody falls silent and nothing may restart: a machine that is busy for 2 s is no failure.
PATIENT = {"heartbeat.timeout": "60s"}
LEASE_MS = 1000
OVER = ("FINISHED", "FAILED", "CANCELED")
COUNT = 400_000  # more than any test lets flow at RATE
RATE = 2000


class Refused(Exception):
    """REST has answered with an error. `status` has it, the text is what it said."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class NoLeader(Exception):
    """No job manager answers."""


_held = []  # sockets of the ports that were given away


def free_port():
    """Nobody else gets it as long as the test's process lives."""
    holder, port = broker.hold_port()
    _held.append(holder)
    return port


def wait_until(what, done, limit_s=LIMIT_S, context=lambda: ""):
    """Until done() says something true, which is returned."""
    deadline = time.monotonic() + limit_s
    while True:
        said = done()
        if said:
            return said
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing after {limit_s} s: {what}\n{context()}")
        time.sleep(0.02)


def request(port, method, path, body=None, limit_s=10):
    """What REST answers, decoded; Refused, or NoLeader when nobody does."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit_s)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoLeader(f"{method} {path} at port {port}: {error}") from error
    finally:
        connection.close()
    if answer.status in (307, 503):
        raise NoLeader(f"{method} {path} at port {port}: {text.decode(errors='replace')}")
    if answer.status >= 400:
        raise Refused(answer.status, text.decode(errors="replace"))
    return json.loads(text) if text else None


class Daemon:
    """A job manager or a task manager; `port` is the one of REST, of a job manager."""

    def __init__(self, name, argv, log, port=None, fault=None):
        self.name, self.log, self.port, self.fault = name, log, port, fault
        self.kind = {"jm": "job manager", "tm": "task manager"}[name[:2]]
        env = dict(os.environ)
        env.pop("WEIR_FAULT", None)
        if fault is not None:
            env["WEIR_FAULT"] = fault
        with open(log, "ab") as out:
            self.process = broker.spawn([os.fspath(part) for part in argv], stdout=out, stderr=out, env=env)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return self.log.read_text(errors="backslashreplace")

    def signal(self, number):
        """A SIGSTOP has stopped it when this returns."""
        if number in (signal.SIGKILL, signal.SIGSTOP):
            kills.count(self.kind)
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            wait_until(f"{self.name} stands still", lambda: _is_frozen(self.pid) or self.has_ended())

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.process.wait(LIMIT_S)

    def has_killed_itself(self):
        """At the named point that it was given: SIGKILL, once."""
        if self.process.poll() != -signal.SIGKILL:
            return False
        kills.count(self.kind)
        return True

    def stop(self):
        """In good order; returns the exit status."""
        self.process.terminate()
        return self.process.wait(LIMIT_S)

    def has_ended(self):
        return self.process.poll() is not None

    def close(self):
        if not self.has_ended():
            self.process.kill()
            self.process.wait(LIMIT_S)


class Cluster:
    """`settings` are -D of every process. `ha`: {} for none, or the options of one; then there may be several job
    managers."""

    def __init__(self, directory, task_managers=2, slots=2, job_managers=1, ha=None, settings=None, faults=False):
        self.directory = pathlib.Path(directory)
        self.slots, self.ha = slots, ha or {}
        self.settings = {**HEARTBEAT, "io.tmp.dirs": self.directory / "tmp", **self.ha, **(settings or {})}
        self.bin = program.FAULT_BIN if faults else program.BIN
        self.rpc_port, self.rest_ports = free_port(), []
        self.job_managers, self.task_managers = [], []
        self.numbers = {"jm": 0, "tm": 0}
        self.uploaded = set()
        (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
        try:
            for _ in range(job_managers):
                self.start_job_manager()
            self.leader()
            for _ in range(task_managers):
                self.start_task_manager()
            self.wait_task_managers(task_managers)
        except BaseException:
            self.close()
            raise

    def close(self):
        for daemon in self.task_managers + self.job_managers:
            daemon.close()

    # ------------------------------------------------------------ processes

    def _start(self, kind, settings, port=None, fault=None):
        number = self.numbers[kind]
        self.numbers[kind] += 1
        name = {"jm": "weir-jobmanager", "tm": "weir-taskmanager"}[kind]
        argv = [self.bin / name, "--conf", os.devnull]
        for key, value in {**self.settings, **settings}.items():
            argv += ["-D", f"{key}={value}"]
        return Daemon(f"{kind}-{number}", argv, self.directory / f"{kind}-{number}.log", port, fault)

    def start_job_manager(self, fault=None):
        """One more; with high availability each has ports of its own."""
        rpc = free_port() if self.ha else self.rpc_port
        port = self.rest_ports[0] if self.rest_ports and not self.ha else free_port()
        self.rest_ports.append(port)
        daemon = self._start("jm", {"jobmanager.rpc.port": rpc, "rest.port": port}, port, fault)
        self.job_managers.append(daemon)
        return daemon

    def start_task_manager(self, fault=None, **settings):
        given = {key.replace("__", ".").replace("_", "-"): value for key, value in settings.items()}
        daemon = self._start("tm", {"jobmanager.rpc.port": self.rpc_port,
                                    "taskmanager.numberOfTaskSlots": self.slots, **given}, fault=fault)
        self.task_managers.append(daemon)
        return daemon

    def logs(self):
        """The ends of all of them, for a message."""
        paths = sorted(self.directory.glob("[jt]m-*.log")) + sorted(self.worker_logs())[-4:]
        return "\n".join(f"--- {path}\n{path.read_text(errors='backslashreplace')[-LOG_TAIL:]}" for path in paths)

    def worker_logs(self, job=None, attempt=None):
        name = "*-*-*" if job is None else f"{job.id}-{'*' if attempt is None else attempt}-*"
        return list((self.directory / "tmp").glob(f"weir-logs-*/taskmanager-*/{name}.log"))

    def wait_until(self, what, done, limit_s=LIMIT_S):
        return wait_until(what, done, limit_s, self.logs)

    def workers(self, task_manager=None, job=None):
        """Processes that are workers now, as {pid: name of the task manager}; of one job: {pid: ...} by its log."""
        parents = {one.pid: one.name for one in self.task_managers if task_manager in (None, one)}
        found = {}
        for path in pathlib.Path("/proc").iterdir():
            if not path.name.isdigit():
                continue
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                log = os.readlink(path / "fd" / "2")
            except (OSError, ValueError, IndexError):
                continue
            if parent in parents and len(words) > 1 and words[1] == b"worker" and (job is None or job.id in log):
                found[int(path.name)] = parents[parent]
        return found

    # ------------------------------------------------------------ REST

    def leader(self):
        """The job manager that answers, when one does. One that is frozen does not count."""
        return self.wait_until("a job manager leads", self._leader)

    def _leader(self):
        for daemon in self.job_managers:
            if daemon.has_ended() or _is_frozen(daemon.pid):
                continue
            try:
                request(daemon.port, "GET", "/v1/overview", limit_s=2)
                return daemon
            except (NoLeader, Refused):
                continue
        return None

    def ask(self, method, path, body=None, limit_s=LIMIT_S):
        """Of whoever leads; again while nobody does."""
        def attempt():
            leader = self._leader()
            try:
                return leader and (request(leader.port, method, path, body),)
            except NoLeader:
                return None
        return wait_until(f"an answer to {method} {path}", attempt, limit_s, self.logs)[0]

    def get(self, path):
        return self.ask("GET", path)

    def wait_task_managers(self, count):
        self.wait_until(f"{count} task managers have registered",
                        lambda: len(self.get("/v1/taskmanagers")["taskmanagers"]) == count)

    def wait_free_slots(self, count):
        self.wait_until(f"{count} slots are free", lambda: self.get("/v1/overview")["slots-available"] == count)

    def upload(self, path):
        data = pathlib.Path(path).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.uploaded:
            self.ask("PUT", f"/v1/blobs/{digest}", data)
            self.uploaded.add(digest)
        return digest

    def submit(self, path, *arguments, name=None):
        """An executable by its path, or a program of the build by its name."""
        if not isinstance(path, pathlib.Path):
            path = program.path_of(path, self.bin if self.bin == program.FAULT_BIN else None)
        digest = self.upload(path)
        body = {"digest": digest, "program": name or path.name, "arguments": [str(one) for one in arguments]}
        return Job(self, self.ask("POST", "/v1/jobs", body)["jobid"])


def _is_frozen(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


class Job:
    def __init__(self, cluster, job_id):
        self.cluster, self.id = cluster, job_id
        self.path = f"/v1/jobs/{job_id}"

    # ------------------------------------------------------------ looking

    def get(self, path=""):
        return self.cluster.get(self.path + path)

    def state(self):
        return self.get("/status")["status"]

    def failure(self):
        """Why it failed, or last restarted, as people read it; empty: it has not."""
        return self.get("/exceptions")["root-exception"] or ""

    def wait(self, *states, limit_s=LIMIT_S):
        """Until it is in one of the states; one that can be left no more is a failure at once."""
        def arrived():
            state = self.state()
            if state not in states and state in OVER:
                raise AssertionError(f"job {self.id} is {state}, wanted {states}: {self.failure()}\n"
                                     f"{self.cluster.logs()}")
            return state if state in states else None
        return self.cluster.wait_until(f"job {self.id} is {' or '.join(states)}", arrived, limit_s)

    def vertices(self):
        return self.get()["vertices"]

    def parallelism(self):
        return max(vertex["parallelism"] for vertex in self.vertices())

    def completed(self):
        """The number of its newest complete checkpoint; 0: none."""
        newest = self.get("/checkpoints")["latest"]["completed"]
        return 0 if newest is None else newest["id"]

    def wait_checkpoints(self, count=1, limit_s=LIMIT_S):
        """Until `count` more than now are complete."""
        before = self.completed()

        def grown():
            if self.state() in OVER:
                raise AssertionError(f"job {self.id} is over: {self.failure()}\n{self.cluster.logs()}")
            return self.completed() >= before + count
        self.cluster.wait_until(f"{count} more checkpoints than {before} of job {self.id}", grown, limit_s)

    def restarts(self):
        """Under this leader; the history of exceptions has only the newest of them."""
        (metric,) = self.get("/metrics?get=numRestarts")
        return int(metric["value"])

    # ------------------------------------------------------------ commanding

    def _operation(self, path, answer, limit_s=LIMIT_S):
        key = answer["request-id"]

        def done():
            said = self.cluster.get(f"{self.path}/{path}/{key}")
            return said if said["status"]["id"] == "COMPLETED" else None
        operation = self.cluster.wait_until(f"{path} of job {self.id}", done, limit_s)["operation"]
        if "failure-cause" in operation:
            raise Refused(0, operation["failure-cause"]["stack-trace"])
        return operation

    def rescale(self, parallelism):
        answer = self.cluster.ask("PATCH", f"{self.path}/rescaling?parallelism={parallelism}")
        return self._operation("rescaling", answer)

    def checkpoint(self):
        """One now; returns its number."""
        return self._operation("checkpoints", self.cluster.ask("POST", f"{self.path}/checkpoints", {}))["checkpointId"]

    def stop(self, directory, drain=False):
        """Returns where the savepoint is."""
        return self._savepoint("stop", {"targetDirectory": os.fspath(directory), "drain": drain})

    def savepoint(self, directory, cancel=False):
        return self._savepoint("savepoints", {"target-directory": os.fspath(directory), "cancel-job": cancel})

    def _savepoint(self, path, body):
        def asked():
            try:
                return self.cluster.ask("POST", f"{self.path}/{path}", body)
            except Refused as refused:
                if "ask again" not in refused.text:
                    raise
                return None  # tasks are being restored
        answer = self.cluster.wait_until(f"{path} of job {self.id} is accepted", asked)
        return pathlib.Path(self._operation("savepoints", answer)["location"])

    def cancel(self):
        self.cluster.ask("PATCH", self.path)
        self.wait("CANCELED")


def hurt(pid, number=signal.SIGKILL, kind="worker"):
    """SIGKILL or SIGSTOP; SIGCONT wakes it up again. Whether it was still there."""
    if number != signal.SIGCONT:
        kills.count(kind)
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def reached(cluster, job):
    """How far workers of steady --tell say that they are, over all of their logs."""
    numbers = [int(found) for path in cluster.worker_logs(job)
               for found in re.findall(r"^reached (\d+)$", path.read_text(errors="replace"), re.MULTILINE)]
    return max(numbers, default=-1)


class Proxy:
    """TCP to a port of 127.0.0.1; a connection through it can be made silent: neither side hears anything more,
    and nobody is told, as behind a broken cable."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []  # in the order in which they came
        self.silent = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=10)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            pair = (near, far)
            self.pairs.append(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair, source, sink):
        try:
            while data := source.recv(1 << 16):
                if pair in self.silent:
                    return  # and nothing is closed
                sink.sendall(data)
        except OSError:
            pass
        if pair not in self.silent:
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def silence(self, index):
        self.silent.add(self.pairs[index])

    def close(self):
        self.listener.close()
        for pair in self.pairs:
            for one in pair:
                one.close()


class ClusterTest(program.ProgramTest):
    """Of a cluster, and of jobs/steady.c on it: what it wrote is judged at the end."""

    def cluster(self, **options):
        one = Cluster(self.directory, **options)
        self.addCleanup(one.close)
        return one

    def file_ha(self):
        return {"high-availability.type": "file", "high-availability.storageDir": self.directory / "ha",
                "high-availability.file.lease": f"{LEASE_MS}ms"}

    def checkpoints_of(self, name):
        return self.directory / f"{name}-checkpoints"

    def steady_arguments(self, parallelism, *options, rate=RATE, name="steady", count=COUNT):
        pace = () if rate is None else ("--rate", rate)
        return [str(one) for one in (
            "--count", count, *pace, "--tell", "--output", self.directory / name, "--checkpoints",
            self.checkpoints_of(name), "--checkpoint-interval", "100ms", "--min-pause", "20ms",
            "--restart-delay", "20ms", "--restart-delay-max", "200ms", "--parallelism", parallelism, *options)]

    def steady(self, one, parallelism, *options, **more):
        return one.submit("steady", *self.steady_arguments(parallelism, *options, **more))

    def finish(self, one, job, parallelism=2, *options, name="steady"):
        """Stopped with a savepoint, and from there to the end: nothing is lost, nothing there twice."""
        savepoint = job.stop(self.directory / "savepoints")
        job.wait("FINISHED")
        self.assertLess(program.check_steady(self.directory / name, None), COUNT)
        shutil.rmtree(self.checkpoints_of(name))
        last = self.steady(one, parallelism, "--from-savepoint", savepoint, *options, rate=None, name=name)
        last.wait("FINISHED")
        program.check_steady(self.directory / name, COUNT)

    def wait_restarted(self, one, job, restarts):
        one.wait_until("the job has restarted", lambda: job.restarts() > restarts)
        job.wait("RUNNING")
