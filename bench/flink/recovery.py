"""kill -9 in a cluster with large state: how long until a correct record comes out again.

What   A job manager and two task managers of one slot on each side, and the job of bench/flink_pages.c and Pages.java: the
       state is filled, then records come at a steady rate and checkpoints are taken. Killed is the task manager that has
       the job; a spare one is there. The time goes from the signal to the first record of the next attempt, which
       must say how often its key was there: the last operator writes both to a file. Before each kill a job has
       completed five checkpoints, and it comes half an interval behind the last of them.
       Weir also with only the worker killed, which is the process that the job runs in; Flink has none such.
Weir   restarted without a delay: by default the first is 10 ms, and doubles with each of some kills in a row.
Flink  "default": as it comes. "tuned": heartbeats each 100 ms, lost when one cannot be sent or after 3 s,
       restarted without a delay.
Files  are in the system's cache, as they are after a crash of a process.
"""

import collections
import os
import pathlib
import signal
import subprocess
import sys
import time

import sides
import standalone
import throughput
import turns

sys.path.insert(0, str(sides.ROOT / "bench"))
import cluster  # noqa: E402
import host_memory  # noqa: E402

RATE = 10_000
INTERVAL_S = 2
CHECKPOINTS = 5  # between the fill, or a kill, and the next kill
LIMIT_S = 600
TUNINGS = {
    "default": {},
    "tuned": {"heartbeat.interval": "100", "heartbeat.rpc-failure-threshold": "1", "heartbeat.timeout": "3000",
              "slotmanager.requirement-check.delay": "0 ms",
              "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "0 s",
              "restart-strategy.fixed-delay.attempts": "1000"},
}
Line = collections.namedtuple("Line", "word pid at_ns index verdict")


class Watched:
    """What a job says in its file, and its checkpoints."""

    def __init__(self, folder):
        self.told, self.checkpoints = folder / "told", folder / "checkpoints"

    def lines(self, word):
        text = self.told.read_text() if self.told.exists() else ""
        found = [Line(*line.split()) for line in text.split("\n")[:-1]]  # the last may be half written
        return [line for line in found if line.word == word]

    def arguments(self, keys):
        return ["--count", "0", "--keys", str(keys), "--fill", str(keys), "--rate", str(RATE), "--told", os.fspath(self.told)]

    def wait_for(self, look, what):
        until = time.monotonic() + LIMIT_S
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > until:
                raise sides.RunFailed(f"not within {LIMIT_S} s: {what}")
            time.sleep(0.01)

    def complete(self):
        return {path.parent.name for path in self.checkpoints.glob("*/chk-*/_metadata")}

    def wait_for_checkpoints(self):
        """They are removed again, so each is counted when it is seen."""
        old, seen = self.complete(), set()

        def are_there():
            seen.update(self.complete() - old)
            return len(seen) >= CHECKPOINTS
        self.wait_for(are_there, "checkpoints")
        time.sleep(INTERVAL_S / 2)

    def pid(self):
        """Of the process that the job runs in."""
        return int(self.lines("first")[-1].pid)

    def time_of_kill(self, pids):
        """Milliseconds from the kill of these processes to the next attempt's first record."""
        attempts, killed_ns = len(self.lines("first")), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        line = self.wait_for(lambda: self.lines("first")[attempts:], "a record after the kill")[0]
        if line.verdict != "right":
            raise sides.RunFailed(f"wrong after a restore: {line}")
        return (int(line.at_ns) - killed_ns) / 1e6


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Recovery(turns.Case):
    def __init__(self, keys, kills, tunings, **more):
        super().__init__("recovery", **more)
        self.keys, self.kills, self.tunings = keys, kills, tunings

    def weir(self):
        """Times of a killed task manager, and of a killed worker."""
        lost, killed = [], []
        host_memory.take()
        with cluster.cluster(task_managers=2, slots=1) as one:
            watched = Watched(one.directory)
            one.submit(one.upload("bench_flink_pages"), "bench_flink_pages", *watched.arguments(self.keys), "--checkpoints",
                       watched.checkpoints, "--checkpoint-interval", f"{INTERVAL_S}s", "--memory", "1GB",
                       "--restart", "fixed", "--restart-delay", "0ms", "--restart-attempts", "0")
            watched.wait_for(lambda: watched.lines("filled"), "the state is filled")
            for _ in range(self.kills):
                watched.wait_for_checkpoints()
                killed.append(watched.time_of_kill([watched.pid()]))
                watched.wait_for_checkpoints()
                worker = watched.pid()
                lost.append(watched.time_of_kill([parent_of(worker), worker]))
                one.start("weir-taskmanager")
                one.wait_for_task_managers(2)
        return {"ms": turns.spread(lost), "worker_ms": turns.spread(killed)}

    def flink(self, tuning):
        lost = []
        host_memory.take()
        tuned = {**throughput.ROCKS, **TUNINGS[tuning], "execution.checkpointing.interval": f"{INTERVAL_S} s"}
        settings = {name: value for name, value in sides.flink_settings(tuned).items()
                    if name != "heartbeat.timeout" or "heartbeat.timeout" in tuned}
        with standalone.flink(cluster.free_ports(2), 1, {**settings, **standalone.memory(heap="1g")}, 2, heap="2g") as one:
            watched = Watched(sides.WORK)
            subprocess.run(sides.flink_argv("pages", [*watched.arguments(self.keys), "--remote", f"127.0.0.1:{one.rest}"], tuned),
                           check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            watched.wait_for(lambda: watched.lines("filled"), "the state is filled")
            for turn in range(self.kills):
                if turn > 0:
                    one.add_task_manager()
                    one.wait_for_slots(1)
                watched.wait_for_checkpoints()
                lost.append(watched.time_of_kill([watched.pid()]))
        return {"ms": turns.spread(lost)}

    def run(self, has_flink):
        weir = self.weir()
        rows = []
        for tuning in self.tunings if has_flink else (None,):
            flink = self.flink(tuning) if tuning else None
            rows.append({"case": self.name, "variant": f"{tuning}, {self.keys / 1e6:g} GB of state", "kind": "recovery", "void": False,
                         "pairs": self.kills if flink else 0, "weir": weir, "flink": flink,
                         "ratio": [flink["ms"][0] / weir["ms"][0]] * 3 if flink else None})
        return rows


def cases(mode):
    return [Recovery((1_000_000, 200_000)[mode], (3, 1)[mode], (("default", "tuned"), ("tuned",))[mode],
                     seconds=(275, 42)[mode])]
