"""The two sides of the comparison: how each is built, run once, and what it cost.

What   weir(...), flink(...): one process, one workload, the line of JSON that it prints, as a dict, with what the
       rest of the machine used meanwhile ("other_cpu": cores). running(...) leaves one running beside what follows.
       prepare_flink() compiles Flink's half by Maven, once per change of its sources.
Files  build/flink-bench/lib the jars, work-PID/ state and checkpoints of the run under way, removed behind it.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "test" / "e2e"), str(ROOT / "bench")]
import broker  # noqa: E402
import host_memory  # noqa: E402

BUILD = ROOT / "build" / "flink-bench"
WORK = BUILD / f"work-{os.getpid()}"
STAMP = BUILD / "stamp"
# Without state 512 MB cost no more CPU than 2 GB; with the state on it the heap is larger. The parallel collector, which costs
# little; for latencies the one with short pauses. Huge pages (-XX:+UseTransparentHugePages) gain nothing: q0 9.6 in place of 11.7
# million events for a CPU second, read-modify-write on the heap 0.94 with and without.
JVM_HEAP_WITHOUT_STATE, JVM_HEAP, JVM_HEAP_WITH_STATE = "512m", "2g", "6g"
LEAST_CPU, SHORT_PAUSES = "-XX:+UseParallelGC", "-XX:+UseG1GC"
OPENED = ("java.util", "java.lang", "java.nio", "java.time", "java.util.concurrent")
SETTINGS = {
    "pipeline.object-reuse": "true",
    "pipeline.generic-types": "false",
    "rest.bind-port": "0",
    # on a busy machine it must be slow and not fail
    "pekko.ask.timeout": "300 s",
    "heartbeat.timeout": "300000",
    "execution.buffer-timeout.interval": "100 ms",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.storage": "filesystem",
    "state.backend.rocksdb.writebuffer.size": "128mb",
    "state.backend.rocksdb.writebuffer.count": "4",
    "state.backend.rocksdb.thread.num": "2",
    "state.backend.rocksdb.compression.per.level": "NO_COMPRESSION",
}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# What a process printed, what it used, and how many cores others used meanwhile.
Ran = collections.namedtuple("Ran", "text cpu_s wall_s rss_mb other_cpu")


class RunFailed(Exception):
    """A side did not end well; the text is the end of what it said."""


# ---------------------------------------------------------------- Flink's half


def _stamp_text():
    """Of all that the jars are made of."""
    digest = hashlib.sha256()
    for path in sorted([HERE / "pom.xml", *(HERE / "src").rglob("*")]):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest() + "\n"


def prepare_flink():
    """broker.ToolsMissing when it is not here and cannot be brought."""
    missing = [name for name in ("java", "javac", "mvn") if not shutil.which(name)]
    if missing:
        raise broker.ToolsMissing(f"{' and '.join(missing)} not found: install default-jdk-headless and maven")
    if STAMP.exists() and STAMP.read_text() == _stamp_text():
        return
    shutil.rmtree(BUILD / "lib", ignore_errors=True)
    done = subprocess.run(["mvn", "-q", "-B", "-f", os.fspath(HERE / "pom.xml"), "package"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=broker.FETCH_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise broker.ToolsMissing(f"Maven could not build Flink's half:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    STAMP.write_text(_stamp_text())


def java_head(heap, gc=LEAST_CPU, grows=False):
    """A Java machine with all classes of Flink and ours; its heap is of that size, or may grow to it."""
    opened = [part for name in OPENED for part in ("--add-opens", f"java.base/{name}=ALL-UNNAMED")]
    return ["java", gc, *([] if grows else [f"-Xms{heap}"]), f"-Xmx{heap}", *opened,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", BUILD / "lib" / "*"]


def flink_settings(settings=None):
    return {**SETTINGS, "taskmanager.memory.managed.size": "1g", "execution.checkpointing.interval": "10 s",
            "execution.checkpointing.dir": f"file://{WORK}/checkpoints", "io.tmp.dirs": f"{WORK}/tmp", **(settings or {})}


def flink_argv(workload, arguments=(), settings=None, gc=LEAST_CPU):
    settings = flink_settings(settings)
    flags = [part for name, value in settings.items() for part in ("-D", f"{name}={value}")]
    heap = {"hashmap": JVM_HEAP_WITH_STATE, "rocksdb": JVM_HEAP}.get(settings.get("state.backend.type"), JVM_HEAP_WITHOUT_STATE)
    return [*java_head(heap, gc), "weir.bench.Main", "--workload", workload, *arguments, *flags]


def flink(workload, arguments=(), settings=None, timeout_s=600, gc=LEAST_CPU):
    return _run(flink_argv(workload, arguments, settings, gc), timeout_s)


# ---------------------------------------------------------------- Weir's half


def weir_argv(arguments=(), settings=None, program="bench_flink"):
    settings = {"checkpoints": WORK / "checkpoints", "checkpoint-interval": "10s", "log-level": "warn", **(settings or {})}
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return [ROOT / "build/bin" / program, "run", *arguments, *flags]


def weir(arguments=(), settings=None, program="bench_flink", timeout_s=600):
    return _run(weir_argv(arguments, settings, program), timeout_s)


# ---------------------------------------------------------------- a run


def _busy_s():
    """CPU seconds that the machine has worked so far: all but idle, waiting for disks, and stolen."""
    fields = [int(it) for it in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) / TICKS_PER_S


@contextlib.contextmanager
def work_folder():
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "tmp").mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


def measured(argv, timeout_s):
    """What came of a process, which must end well."""
    host_memory.take()
    with open(WORK / "output", "w+b") as out, open(WORK / "errors", "w+b") as errors:
        busy, started = _busy_s(), time.clock_gettime(time.CLOCK_MONOTONIC)
        process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                               env={**os.environ, "WEIR_BENCH_STARTED_NS": str(int(started * 1e9))})
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > started + timeout_s:
                process.kill()
                _, status, usage = os.wait4(process.pid, 0)
                break
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)  # reaped behind its back
        elapsed = time.monotonic() - started
        cpu = usage.ru_utime + usage.ru_stime
        others = max(_busy_s() - busy - cpu, 0) / elapsed
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise RunFailed(f"{pathlib.Path(argv[0]).name} ended with {process.returncode} after {elapsed:.0f} s: "
                            f"{errors.read()[-3000:].decode(errors='replace')}")
        return Ran(out.read().decode(), cpu, elapsed, usage.ru_maxrss / 1024, round(others, 2))


def _run(argv, timeout_s):
    with work_folder():
        ran = measured(argv, timeout_s)
    lines = [line for line in ran.text.splitlines() if line.startswith("{")]
    if not lines:
        raise RunFailed(f"{argv[0]} printed no result")
    return {**json.loads(lines[-1]), "other_cpu": ran.other_cpu}


@contextlib.contextmanager
def running(argv):
    """The process, which is stopped at the end of the block; one that ended by itself is a failure."""
    host_memory.take()
    with work_folder(), open(WORK / "errors", "w+b") as errors:
        process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            yield process
            if process.poll() is not None:
                errors.seek(0)
                raise RunFailed(f"{pathlib.Path(argv[0]).name} ended with {process.returncode}: "
                                f"{errors.read()[-3000:].decode(errors='replace')}")
        finally:
            broker.stop_process(process)


class Others:
    """How many cores other processes have used since; `ours`: CPU seconds of what we run."""

    def __init__(self):
        self.busy_s, self.since = _busy_s(), time.monotonic()

    def cores(self, ours_s):
        return round(max(_busy_s() - self.busy_s - ours_s, 0) / (time.monotonic() - self.since), 2)
