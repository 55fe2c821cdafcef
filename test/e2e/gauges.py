"""What a soak measures: memory, descriptors and threads of each process, disk of each place, transactions, lag.

What   Gauges(...).sample() asks everything once and adds it to a leaks.Series each. Processes come and go: each is a life of
       the series of its role ("job manager", "task manager", "worker of userprofile").
How    Everything is asked from outside: /proc, the file system, the broker by the tools. Nothing is asked of the engine, which
       might not tell. Memory is RssAnon, what the process has allocated: pages of files come and go with
       the system's cache. A file with several names counts once.
Thread The one that samples; what the main thread changes meanwhile (lists of daemons, jobs) is copied first.
"""

import os
import pathlib
import threading
import time

import leaks

HANGING_S = 90  # transactions end within 60 s, or the broker ends them, which it looks after every 10 s

# How long the memory of a life may fill what it then keeps.
#   daemons            connections, TLS, histories of checkpoints and failures, which hold a fixed number of each
#   worker             librdkafka's queues, the pools of segments, the table of 97 keys
#   worker, userprofile  the write-back cache takes in each row that it meets until it has its share of --memory, also ids
#                      of events that have expired since: see soak.py, FILL_S
WARM_UP_S = {"job manager": 120, "task manager": 120}
WARM_UP_WORKER_S = 120
WARM_UP_DISK_S = 300  # RocksDB's levels take shape


class Gauges:
    """`now()` is the seconds of the soak; `fill_s`: how long rows of userprofile fill its memory."""

    def __init__(self, now, cluster, kafka, fill_s=0.0):
        self.now, self.cluster, self.kafka, self.fill_s = now, cluster, kafka, fill_s
        self.jobs = {}  # name: cluster.Job, that of the life that is now
        self.places = {}  # name: function that returns paths
        self.topics = []  # those that transactions end in
        self.lags = []  # (topic, group)
        self.series = {}
        self.attempts = set()
        self.stable = {}  # (topic, partition): (the stable offset, since when)
        self.started = {}  # pid: when it was seen first

    def all_series(self):
        return sorted(self.series.values(), key=lambda it: (it.over != "seconds", it.unit, it.name))

    def sample(self):
        at = self.now()
        self.count_attempts()
        for pid, role in self.processes().items():
            self.sample_process(at, pid, role)
        for name, paths_of in self.places.items():
            self.add(f"disk of {name}", "disk", name, at, size_of(paths_of()), WARM_UP_DISK_S)
        self.sample_broker(at)

    def add(self, name, unit, life, x, value, warm_up_s, over="seconds"):
        if name not in self.series:
            self.series[name] = leaks.Series(name, unit, warm_up_s, over)
        self.series[name].add(life, x, value)

    # ------------------------------------------------------------ processes

    def processes(self):
        """{pid: role} of all that live now."""
        found = {}
        for daemon in [*self.cluster.job_managers, *self.cluster.task_managers]:
            found[daemon.pid] = daemon.kind
        for name, job in list(self.jobs.items()):
            found.update((pid, f"worker of {name}") for pid in self.cluster.workers(job=job))
        return found

    def count_attempts(self):
        for path in self.cluster.worker_logs():
            self.attempts.add(path.stem.rpartition("-")[0])

    def sample_process(self, at, pid, role):
        said = status_of(pid)
        if said is None:
            return
        memory, threads, fds = said
        warm_up_s = WARM_UP_S.get(role, WARM_UP_WORKER_S + (self.fill_s if "userprofile" in role else 0))
        self.add(f"memory of {role}", "bytes", pid, at, memory, warm_up_s)
        self.add(f"fds of {role}", "files" if "worker" in role else "fds", pid, at, fds, WARM_UP_WORKER_S)
        self.add(f"threads of {role}", "threads", pid, at, threads, WARM_UP_WORKER_S)
        started = self.started.setdefault(pid, at)
        if role == "job manager" and at - started >= warm_up_s:
            self.add("memory of job manager by attempts of jobs", "bytes", pid, len(self.attempts), memory, 0, over="attempts")

    # ------------------------------------------------------------ the broker

    def sample_broker(self, at):
        hanging = 0
        for topic in self.topics:
            for number, partition in enumerate(self.kafka.describe_topic(topic)):
                hanging += self.is_hanging(at, (topic, number), partition)
        self.add("hanging transactions", "transactions", "", at, hanging, 0)
        for topic, group in self.lags:
            behind = 0
            for partition, offset in zip(self.kafka.describe_topic(topic), self.kafka.committed(topic, group)):
                behind += partition["high"] - (partition["low"] if offset is None else offset)
            self.add(f"lag of {group}", "records", "", at, behind, WARM_UP_WORKER_S)

    def is_hanging(self, at, partition, said):
        offset, since = self.stable.get(partition, (None, at))
        if offset != said["stable"]:
            since = at
        self.stable[partition] = (said["stable"], since)
        return said["stable"] < said["high"] and at - since > HANGING_S


def status_of(pid):
    """(bytes of memory, threads, descriptors), or None: it has ended."""
    try:
        lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        fds = len(os.listdir(f"/proc/{pid}/fd"))
        return int(lines["RssAnon"].split()[0]) << 10, int(lines["Threads"]), fds
    except (OSError, KeyError):
        return None  # a process that has ended and was not waited for yet has no memory


def size_of(paths):
    """Blocks of all files below the paths, in bytes."""
    seen, size = set(), 0
    for top in paths:
        for directory, _, names in os.walk(top):
            for name in names:
                try:
                    status = os.lstat(os.path.join(directory, name))
                except OSError:
                    continue  # it was deleted meanwhile
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    size += status.st_blocks * 512
    return size


class Sampler:
    """Calls sample() every `period_s` in a thread until stop(). A failure of the broker's tools, as while the broker is down,
    leaves a gap; anything else ends the sampling, and stop() tells."""

    def __init__(self, gauges, period_s, ignored):
        self.gauges, self.period_s, self.ignored = gauges, period_s, ignored
        self.gaps, self.failure = 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        due = time.monotonic()
        while not self._stop.wait(max(0, due - time.monotonic())):
            due = max(due + self.period_s, time.monotonic())
            try:
                self.gauges.sample()
            except self.ignored:
                self.gaps += 1
            except Exception as error:  # told by stop(), to the thread that judges
                self.failure = error
                return

    def stop(self):
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure
