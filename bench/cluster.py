#!/usr/bin/env python3
"""A cluster on this machine: what it costs when nothing happens, and how fast it is when something does.

What   A job manager and task managers as processes of their own, jobs by REST.
       idle      one job with a record a second on two task managers: CPU time of all processes, RSS of the daemons
       submit    POST /v1/jobs until the first record is printed, the executable being there already
       recover   kill -9 of the worker of a job with 100 MB of state until it prints again
       loss      kill -9 and SIGSTOP of a task manager until the job manager says that it is lost
       thousand  1,000 jobs on one task manager, a checkpoint each 10 s: memory of all processes (what they share
                 counts once), CPU of the daemons, time of a request
How    ./bench/cluster.py [--only idle,submit,...]; prints name TAB value TAB unit TAB goal TAB ok|short|-.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
import broker  # noqa: E402
import program  # noqa: E402

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_S = 0.001
LIMIT_S = 120


def line(name, value, unit, goal="-", is_ok=None):
    """Without a goal there is no verdict."""
    verdict = "-" if is_ok is None else "ok" if is_ok else "short"
    print(f"{name}\t{value}\t{unit}\t{goal}\t{verdict}", flush=True)


def until(look, what, limit_s=LIMIT_S, poll_s=POLL_S):
    """What `look` finds, as soon as that is something."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(poll_s)
    sys.exit(f"bench_cluster: not within {limit_s} s: {what}")


# ---------------------------------------------------------------- processes


def children_of(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def cpu_s(pid):
    """User and system time so far; of one that is gone, none."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mb(pid, name="Rss"):
    """Rss counts what is shared in each process, Pss divides it among them."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(row.split()[1]) for row in text.splitlines() if row.startswith(f"{name}:")) / 1024


def free_ports(count):
    """Different ones: all are open before the first is let go."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


class Cluster:
    """A job manager and task managers; its directory goes with it."""

    def __init__(self, directory, task_managers=1, slots=4, memory="4GB"):
        self.directory, self.slots, self.memory = pathlib.Path(directory), slots, memory
        ports = free_ports(2)
        self.rest, self.settings = f"http://127.0.0.1:{ports[1]}/v1", {
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.bind-host": "127.0.0.1",
            "jobmanager.rpc.port": ports[0], "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1",
            "rest.port": ports[1], "taskmanager.numberOfTaskSlots": slots,
            "taskmanager.memory.process.size": memory, "io.tmp.dirs": self.directory}
        self.processes = []
        self.job_manager = self.start("weir-jobmanager")
        self.task_managers = [self.start("weir-taskmanager") for _ in range(task_managers)]
        self.wait_for_task_managers(task_managers)

    def start(self, name):
        self.log = self.directory / f"{name}-{len(self.processes)}.log"
        argv = [program.path_of(name)]
        for key, value in self.settings.items():
            argv += ["-D", f"{key}={value}"]
        with open(self.log, "wb") as out:
            process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory)
        self.processes.append(process)
        return process

    def job_manager_said(self, words):
        return words in (self.directory / "weir-jobmanager-0.log").read_text(errors="replace")

    def wait_for_task_managers(self, count):
        def are_there():
            with contextlib.suppress(OSError):
                return self.ask("GET", "/overview")["taskmanagers"] == count
        until(are_there, f"{count} task managers")

    def ask(self, method, path, body=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.rest + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "{}")

    def upload(self, name):
        """The digest of a job's executable."""
        content = program.path_of(name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self.ask("PUT", f"/blobs/{digest}", content)
        return digest

    def submit(self, digest, name, *arguments):
        return self.ask("POST", "/jobs", {"digest": digest, "program": name,
                                          "arguments": [str(it) for it in arguments]})["jobid"]

    def cancel(self, job):
        self.ask("PATCH", f"/jobs/{job}")
        until(lambda: self.state(job) == "CANCELED", f"{job} is cancelled")

    def state(self, job):
        return self.ask("GET", f"/jobs/{job}")["state"]

    def running(self):
        return sum(job["state"] == "RUNNING" for job in self.ask("GET", "/jobs/overview")["jobs"])

    def logs(self, job):
        """What its workers have said, by attempt."""
        return {path: path.read_bytes() for path in self.directory.glob(f"weir-logs-*/taskmanager-*/{job}-*.log")}

    def has_record(self, job, old=()):
        """A record printed by a worker that is none of the old ones."""
        return any(b'{"index"' in text for path, text in self.logs(job).items() if path not in old)

    def pids(self):
        daemons = [process.pid for process in self.processes if process.poll() is None]
        return daemons, [child for pid in daemons for child in children_of(pid)]

    def close(self):
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            broker.stop_process(process)


@contextlib.contextmanager
def cluster(**options):
    directory = tempfile.mkdtemp(prefix="bench-cluster-", dir=ROOT / "build")
    one = Cluster(directory, **options)
    try:
        yield one
    finally:
        one.close()
        shutil.rmtree(directory, ignore_errors=True)


# ---------------------------------------------------------------- what is measured


def measure_idle(args):
    with cluster(task_managers=2) as one:
        job = one.submit(one.upload("ticks"), "ticks", "--rate", 1)
        until(lambda: one.has_record(job), "a record")
        daemons, workers = one.pids()
        before = {pid: cpu_s(pid) for pid in daemons + workers}
        time.sleep(args.idle_s)
        used = {pid: (cpu_s(pid) - before[pid]) / args.idle_s * 100 for pid in before}
        total = sum(used.values())
        line("idle cluster, CPU of all processes", f"{total:.2f}", "%", 1, total < 1)
        line("idle cluster, CPU of the worker", f"{sum(used[pid] for pid in workers):.2f}", "%")
        largest = max(memory_mb(pid) for pid in daemons)
        line("idle daemon, RSS", f"{largest:.1f}", "MB", 20, largest <= 20)
        line("idle worker, RSS", f"{max(memory_mb(pid) for pid in workers):.1f}", "MB")


def measure_submit(args):
    with cluster() as one:
        digest, times = one.upload("ticks"), []
        for _ in range(args.tries):
            started = time.monotonic()
            job = one.submit(digest, "ticks", "--rate", 1000)
            until(lambda: one.has_record(job), "a record")  # pylint: disable=cell-var-from-loop
            times.append((time.monotonic() - started) * 1000)
            one.cancel(job)
        report_times("submit to first record", times[1:], 200)  # the first brings the executable


def report_times(name, times, goal):
    times = sorted(times)
    median = times[len(times) // 2]
    line(name, f"{median:.0f}", "ms", goal, median <= goal)
    line(f"{name}, worst of {len(times)}", f"{times[-1]:.0f}", "ms")


def measure_recover(args):
    with cluster() as one:
        arguments = ["--checkpoints", one.directory / "checkpoints", "--users", args.users, "--memory", "1GB"]
        subprocess.run(program.argv_of("large", "run", *arguments, "--count", args.users, "--from", args.users),
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stored = one.directory / "checkpoints" / "large"
        size = sum(path.stat().st_size for path in (stored / "shared").iterdir())
        digest, times = one.upload("large"), []
        for _ in range(args.kills):  # of a job each: delays grow with the failures of one
            job = one.submit(digest, "large", *arguments, "--from", args.users, "--rate", 10000,
                             "--checkpoint-interval", "1s")
            until(lambda: one.has_record(job), "a record")  # pylint: disable=cell-var-from-loop
            wait_for_checkpoints(stored, 3)
            times.append(time_of_kill(one, job))
            one.cancel(job)
        report_times(f"kill -9 of a worker with {size / 1e6:.0f} MB to output", times, 1000)


def time_of_kill(one, job):
    _, (worker,) = one.pids()
    old, started = set(one.logs(job)), time.monotonic()
    os.kill(worker, signal.SIGKILL)
    until(lambda: one.has_record(job, old), "a record after the kill")
    return (time.monotonic() - started) * 1000


def wait_for_checkpoints(stored, count):
    last = max(program.checkpoints_of(stored))
    until(lambda: max(program.checkpoints_of(stored)) >= last + count, "checkpoints")


def measure_loss(args):
    for name, number, goal in (("kill -9", signal.SIGKILL, 100), ("SIGSTOP", signal.SIGSTOP, 6000)):
        times = []
        for _ in range(args.losses):
            with cluster() as one:
                started = time.monotonic()
                one.task_managers[0].send_signal(number)
                until(lambda: one.job_manager_said("is lost"), "the loss")  # pylint: disable=cell-var-from-loop
                times.append((time.monotonic() - started) * 1000)
        report_times(f"{name} of a task manager until it is lost", times, goal)


def measure_thousand(args):
    with cluster(slots=args.jobs, memory=f"{args.jobs * 32}MB") as one:
        digest, started = one.upload("ticks"), time.monotonic()
        for _ in range(args.jobs):
            one.submit(digest, "ticks", "--rate", 1, "--memory", "32MB", "--checkpoint-interval", "10s")
        until(lambda: one.running() == args.jobs, "all jobs running", 600, 0.1)
        line(f"{args.jobs} jobs, submit until all run", f"{time.monotonic() - started:.1f}", "s")
        time.sleep(args.settle_s)
        daemons, workers = one.pids()
        before = {pid: cpu_s(pid) for pid in daemons + workers}
        began, answers = time.monotonic(), []
        while time.monotonic() < began + args.idle_s:
            asked = time.monotonic()
            one.ask("GET", "/jobs/overview")
            answers.append((time.monotonic() - asked) * 1000)
            time.sleep(1)
        elapsed = time.monotonic() - began
        used = [(cpu_s(pid) - before[pid]) / elapsed * 100 for pid in daemons + workers]
        total = sum(memory_mb(pid, "Pss") for pid in daemons + workers)
        line(f"{args.jobs} jobs, memory of all processes", f"{total:.0f}", "MB", 4096, total <= 4096)
        line(f"{args.jobs} jobs, RSS of all workers added up", f"{sum(map(memory_mb, workers)):.0f}", "MB")
        line(f"{args.jobs} jobs, CPU of the job manager", f"{used[0]:.1f}", "%", 5, used[0] <= 5)
        line(f"{args.jobs} jobs, CPU of the task manager", f"{used[1]:.1f}", "%", 5, used[1] <= 5)
        line(f"{args.jobs} jobs, CPU of all workers", f"{sum(used[2:]):.1f}", "%")
        line(f"{args.jobs} jobs, RSS of the job manager", f"{memory_mb(daemons[0]):.0f}", "MB")
        report_times(f"{args.jobs} jobs, GET /jobs/overview", answers, 100)


MEASURES = {"idle": measure_idle, "submit": measure_submit, "recover": measure_recover, "loss": measure_loss,
            "thousand": measure_thousand}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(MEASURES))
    parser.add_argument("--idle-s", type=int, default=30)
    parser.add_argument("--tries", type=int, default=21)
    parser.add_argument("--users", type=int, default=800_000)
    parser.add_argument("--kills", type=int, default=7)
    parser.add_argument("--losses", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--settle-s", type=int, default=15)
    args = parser.parse_args()
    for name in args.only.split(","):
        MEASURES[name](args)


if __name__ == "__main__":
    main()
