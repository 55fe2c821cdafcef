"""A cluster of Flink: a job manager and task managers, by the two entry points that its scripts start.

What their scripts would work out of the size of a process is set here by hand. The heap of each may grow to 1 GB, 2 GB for
a task manager with state.
"""

import contextlib
import json
import pathlib
import time
import urllib.request

import sides
from sides import broker

LIMIT_S = 600
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"


def memory(heap="384mb", managed="512mb"):
    return {"taskmanager.memory.task.heap.size": heap,
            "taskmanager.memory.task.off-heap.size": "0", "taskmanager.memory.managed.size": managed,
            "taskmanager.memory.network.min": "128mb", "taskmanager.memory.network.max": "128mb",
            "taskmanager.memory.framework.heap.size": "128mb", "taskmanager.memory.framework.off-heap.size": "128mb",
            "taskmanager.memory.jvm-metaspace.size": "256mb", "taskmanager.memory.jvm-overhead.min": "192mb",
            "taskmanager.memory.jvm-overhead.max": "192mb"}


class Flink:
    """Lives in sides.work_folder(), whose owner stops it by close()."""

    def __init__(self, ports, slots, settings, heap="1g"):
        self.rest, self.heap, self.processes = ports[1], heap, []
        settings = {
            **settings,
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.bind-host": "127.0.0.1", "jobmanager.rpc.port": ports[0],
            "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": ports[1],
            "rest.bind-port": ports[1],
            "taskmanager.host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.numberOfTaskSlots": slots, "taskmanager.cpu.cores": slots, "io.tmp.dirs": sides.WORK / "tmp"}
        (sides.WORK / "conf").mkdir()
        (sides.WORK / "conf" / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        self.start(JOB_MANAGER, "1g")

    def start(self, entry_point, heap):
        with open(sides.WORK / f"flink-{len(self.processes)}.log", "wb") as log:
            self.processes.append(broker.spawn(
                [*sides.java_head(heap, grows=True), entry_point, "--configDir", sides.WORK / "conf"], stdout=log, stderr=log))

    def add_task_manager(self):
        self.start(TASK_MANAGER, self.heap)

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def wait_for_slots(self, count):
        """RunFailed when a process is gone, or time is over. A lost task manager counts until it is missed."""
        until = time.monotonic() + LIMIT_S
        while not self.has_slots(count):
            dead = [process for process in self.processes if process.poll() not in (None, -9)]
            if dead or time.monotonic() > until:
                raise sides.RunFailed("Flink's cluster did not come up:\n" + self.said())
            time.sleep(0.05)

    def has_slots(self, count):
        with contextlib.suppress(OSError):
            return self.ask("/overview")["slots-available"] >= count
        return False

    def said(self):
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(sides.WORK.glob("flink-*.log")))

    def pids(self):
        return [process.pid for process in self.processes if pathlib.Path(f"/proc/{process.pid}").exists()]

    def close(self):
        for process in self.processes:
            broker.stop_process(process)


@contextlib.contextmanager
def flink(ports, slots, settings, task_managers=1, heap="1g"):
    with sides.work_folder():
        one = Flink(ports, slots, settings, heap)
        try:
            for _ in range(task_managers):
                one.add_task_manager()
            one.wait_for_slots(slots * task_managers)
            yield one
        finally:
            one.close()
