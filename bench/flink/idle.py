"""A cluster on which nothing runs: one job manager, one task manager with four slots, on both sides.

What   Seconds from the first exec until the job manager knows the task manager, and then, after a time to settle, the
       CPU of all processes in percent of a core and their memory.
How    Weir: build/bin/weir-jobmanager and weir-taskmanager, by bench/cluster.py. Flink: the same two entry points
       that its scripts start, with a heap that may grow to 1 GB.
"""

import collections
import contextlib
import json
import os
import pathlib
import sys
import time
import urllib.request

import sides
from sides import broker

sys.path.insert(0, str(sides.ROOT / "bench"))
import cluster  # noqa: E402

Idle = collections.namedtuple("Idle", "ready_s cpu_percent rss_mb")
NAME = "idle cluster"
LIMIT_S = 600
SLOTS = 4
ENTRY_POINTS = {"jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"}


def _settings(ports):
    return {
        "jobmanager.rpc.address": "127.0.0.1", "jobmanager.bind-host": "127.0.0.1", "jobmanager.rpc.port": ports[0],
        "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": ports[1],
        "taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": SLOTS, "io.tmp.dirs": sides.WORK / "tmp",
        # what the scripts would work out
        "taskmanager.cpu.cores": SLOTS, "taskmanager.memory.task.heap.size": "384mb",
        "taskmanager.memory.task.off-heap.size": "0", "taskmanager.memory.managed.size": "512mb",
        "taskmanager.memory.network.min": "128mb", "taskmanager.memory.network.max": "128mb",
        "taskmanager.memory.framework.heap.size": "128mb", "taskmanager.memory.framework.off-heap.size": "128mb",
        "taskmanager.memory.jvm-metaspace.size": "256mb", "taskmanager.memory.jvm-overhead.min": "192mb",
        "taskmanager.memory.jvm-overhead.max": "192mb"}


def _measure(started, pids, seconds):
    ready_s = time.monotonic() - started
    time.sleep(seconds / 2)  # what a start leaves to be done
    before, since = sum(map(cluster.cpu_s, pids)), time.monotonic()
    time.sleep(seconds)
    used = sum(map(cluster.cpu_s, pids)) - before
    return Idle(ready_s, used / (time.monotonic() - since) * 100, sum(map(cluster.memory_mb, pids)))


def weir(seconds):
    started = time.monotonic()
    with cluster.cluster(slots=SLOTS) as one:
        daemons, _ = one.pids()
        return _measure(started, daemons, seconds)


@contextlib.contextmanager
def _flink(settings):
    opened = [part for name in sides.OPENED for part in ("--add-opens", f"java.base/{name}=ALL-UNNAMED")]
    processes = []
    (sides.WORK / "conf").mkdir()
    (sides.WORK / "conf" / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    try:
        for name, entry_point in ENTRY_POINTS.items():
            with open(sides.WORK / f"{name}.log", "wb") as log:
                processes.append(broker.spawn(
                    ["java", "-Xmx1g", *opened, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                     os.fspath(sides.BUILD / "lib" / "*"), entry_point, "--configDir", sides.WORK / "conf"],
                    stdout=log, stderr=log))
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            broker.stop_process(process)


def _has_task_manager(port):
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/overview", timeout=10) as answer:
            return json.loads(answer.read())["taskmanagers"] == 1
    return False


def flink(seconds):
    with sides.work_folder():
        settings = _settings(cluster.free_ports(2))
        started = time.monotonic()
        with _flink(settings) as pids:
            while not _has_task_manager(settings["rest.port"]):
                dead = [pid for pid in pids if not pathlib.Path(f"/proc/{pid}").exists()]
                if dead or time.monotonic() > started + LIMIT_S:
                    logs = [(sides.WORK / f"{name}.log").read_text(errors="replace")[-1500:] for name in ENTRY_POINTS]
                    raise sides.RunFailed("Flink's cluster did not come up:\n" + "\n".join(logs))
                time.sleep(0.05)
            return _measure(started, pids, seconds)
