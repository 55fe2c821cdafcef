"""A cluster on which nothing runs: one job manager, one task manager with four slots, on both sides.

What   Seconds from the first exec until the job manager knows the task manager, and then, after a time to settle, the
       CPU of all processes in percent of a core and their memory.
How    Weir: build/bin/weir-jobmanager and weir-taskmanager, by bench/cluster.py. Flink: standalone.py.
"""

import sys
import time

import sides
import standalone
import turns

sys.path.insert(0, str(sides.ROOT / "bench"))
import cluster  # noqa: E402

SLOTS = 4


def measure(started, pids, seconds):
    ready_s = time.monotonic() - started
    time.sleep(seconds / 2)  # what a start leaves to be done
    before, since = sum(map(cluster.cpu_s, pids)), time.monotonic()
    others = sides.Others()
    time.sleep(seconds)
    used = sum(map(cluster.cpu_s, pids)) - before
    return {"ready_s": ready_s, "cpu_percent": used / (time.monotonic() - since) * 100,
            "rss_mb": sum(map(cluster.memory_mb, pids)), "other_cpu": others.cores(used)}


class Idle(turns.Case):
    def __init__(self, seconds_each, **more):
        super().__init__("idle cluster", **more)
        self.seconds_each = seconds_each

    def weir(self):
        started = time.monotonic()
        with cluster.cluster(slots=SLOTS) as one:
            daemons, _ = one.pids()
            return measure(started, daemons, self.seconds_each)

    def flink(self):
        started = time.monotonic()
        with standalone.flink(cluster.free_ports(2), SLOTS, standalone.memory()) as one:
            return measure(started, one.pids(), self.seconds_each)

    def run(self, has_flink):
        weir, flink = self.weir(), self.flink() if has_flink else None
        return [{"case": self.name, "variant": "standalone", "kind": "idle", "void": False, "pairs": 1 if flink else 0,
                 "weir": weir, "flink": flink}]


def cases(mode):
    return [Idle((20, 5)[mode], seconds=(70, 22)[mode])]
