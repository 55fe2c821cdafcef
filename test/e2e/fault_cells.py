"""Cells of the fault matrix: one fault at one end of a step of the protocol, and a job that must come through.

What   A Cell is (step, end, action, nth) in one of the settings below. run() gives a real job that fault, starts it
       again whenever it has died, and returns Broken, with all that was said, unless the job came to its end with
       the output that it has without a fault.
How    The steps are read from base/fault.h. WEIR_FAULT_LOG tells what has fired, and that the job has recovered; a
       fault that is in it is not heard again, so all lives of a cell have one environment. Every wait is bounded.
       A setting makes a directory, says how the job is started, and judges what is there at the end.
"""

import collections
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import broker
import cluster
import kills
import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = program.BUILD / "faults" / "e2e"
WEIR = program.FAULT_BIN / "weir"
ENDS = ("before", "after")
ACTIONS = ("kill", "error", "stall")
LIVES_MAX = 8
LIFE_LIMIT_S = 60
SLOWER = (1, 4, 16)  # a job that has ended before its fault's turn is run anew, at a slower pace
SLOTS = 2
STALL_MS = 120  # longer than a checkpoint takes

Step = collections.namedtuple("Step", "name can_fail what")


class Broken(Exception):
    """A cell did not end as it must; the text says what was found."""


def read_steps():
    """All of them, in the order of base/fault.h."""
    text = (ROOT / "base" / "fault.h").read_text()
    rows = re.findall(r'X\((\w+), "([a-z-]+)", (true|false),\s*\\?\s*"([^"]+)"\)', text)
    if len(rows) != len(re.findall(r"^    X\(", text, re.MULTILINE)):
        raise AssertionError("base/fault.h has rows that are not understood here")
    return [Step(name, can_fail == "true", what) for _, name, can_fail, what in rows]


# ---------------------------------------------------------------- a life of a local job


class Cell:
    """`rules`: more of WEIR_FAULT, in front."""

    def __init__(self, setting, step, end, action, nth=1, rules=""):
        self.setting, self.step, self.end, self.action, self.nth = setting, step, end, action, nth
        self.point = f"{step}-{end}"
        rule = f"{self.point}:{nth}:{action}" + (f"-{STALL_MS}" if action == "stall" else "")
        self.fault = f"{rules},{rule}" if rules else rule
        self.name = f"{step}-{end}-{action}-{nth}"
        self.directory = None
        self.slower = 1
        self.lives = []

    def run(self, root):
        for self.slower in SLOWER:
            self.directory = pathlib.Path(root) / f"{self.setting.name}-{self.name}-{self.slower}"
            self.directory.mkdir(parents=True)
            self.lives = []
            self.setting.prepare(self)
            self.setting.live(self)
            self.setting.judge(self)
            if self.has_fired():
                break
        self._judge_log()
        for _ in range(sum(line.endswith(" kill") for line in self.fired())):
            kills.count("at a named point")
        shutil.rmtree(self.directory)

    @property
    def log(self):
        return self.directory / "fired"

    def fired(self):
        """Lines of the log of faults."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def has_fired(self):
        return f"fired {self.point} {self.action}" in self.fired()

    def _judge_log(self):
        if not self.has_fired():
            raise Broken(f"{self.point} was never passed {self.nth} times: {self.fired()}\n{self.said()}")
        if self.fired()[-1] != "recovered" and self.step not in self.setting.BEHIND_THE_END:
            raise Broken(f"the job did not say that it has recovered: {self.fired()}\n{self.said()}")

    def said(self):
        logs = sorted(self.directory.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='backslashreplace')[-3000:]}" for path in logs[-6:])

    def parallelism(self):
        return self.setting.parallelism

    def environment(self):
        return {**os.environ, "WEIR_FAULT": self.fault, "WEIR_FAULT_LOG": os.fspath(self.log)}

    def start(self, argv):
        path = self.directory / f"life-{len(self.lives)}.log"
        with open(path, "wb") as out:
            process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment())
        self.lives.append(process)
        return process, path

    def end_of(self, process):
        try:
            return process.wait(LIFE_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Broken(f"hangs: still running after {LIFE_LIMIT_S} s\n{self.said()}") from None

    def judge_status(self, status, path):
        """A life that did not end well was killed by its fault, or says whose error it was."""
        said = path.read_text(errors="backslashreplace")
        was_killed = status == -signal.SIGKILL and "fault: killed at '" in said
        has_failed = status > 0 and "was told to fail here" in said
        # Debian 12's librdkafka 2.0.2 sometimes aborts the process when a transaction is given up while its partitions are
        # being registered (docs/BUGS-FOUND.md): a death like any other, from which the next life has to recover.
        has_aborted = status == -signal.SIGABRT and "rd_kafka_txn_handle_AddPartitionsToTxn: Assertion" in said
        if not (was_killed or has_failed or has_aborted):
            raise Broken(f"a life ended with {status}, not by its fault\n{self.said()}")


class Nested(Cell):
    """Killed at the first point while it runs, as it did before, and at each of the others while it recovers from
    that, with the parallelism of the setting."""

    def __init__(self, setting, points, number):
        step, _, end = points[0].rpartition("-")
        super().__init__(setting, step, end, "kill")
        self.points, self.name = points, f"nested-{number}"

    def parallelism(self):
        return self.setting.parallelism if self.lives else 3 - self.setting.parallelism

    def environment(self):
        left = self.points[len(self.lives):]
        return {**super().environment(), "WEIR_FAULT": f"{left[0]}:1:kill" if left else ""}

    def has_fired(self):
        return self.fired() == [f"fired {point} kill" for point in self.points] + ["recovered"]


# ---------------------------------------------------------------- settings


class Setting:
    """How a cell's job is made, run and judged. `nth` is which time its points fire."""

    name = "?"
    BEHIND_THE_END = frozenset()  # steps that a job makes when it has said that it is at its end

    def prepare(self, cell):
        pass

    def live(self, cell):
        """From life to life until one ends well."""
        for _ in range(LIVES_MAX):
            process, path = cell.start(self.argv(cell))
            self.meet(cell, process, path)
            status = cell.end_of(process)
            if status == 0 and self.is_over(cell, path):
                return
            if status != 0:
                cell.judge_status(status, path)
        raise Broken(f"not at its end after {LIVES_MAX} lives\n{cell.said()}")

    def argv(self, cell):
        raise NotImplementedError

    def meet(self, cell, process, path):
        """While it runs."""

    def is_over(self, _cell, path):
        return b" FINISHED " in path.read_bytes()

    def judge(self, cell):
        raise NotImplementedError


class Input:
    """Lines in files, and what has to come out: {"line TAB n": 1}."""

    def __init__(self, directory, count, seed):
        self.directory = directory
        directory.mkdir(parents=True)
        rng = random.Random(seed)
        lines = [f"{rng.randrange(200)}" for _ in range(count)]
        for number in range(3):
            (directory / f"part-{number}").write_text("".join(line + "\n" for line in lines[number::3]))
        self.expected = collections.Counter()
        for line, times in collections.Counter(lines).items():
            for number in [*range(1, times + 1), -times]:
                self.expected[f"{line}\t{number}".encode()] = 1


OPTIONS = ["--checkpoint-interval", "5ms", "--min-pause", "1ms", "--restart-delay", "1ms", "--restart-delay-max",
           "10ms", "--memory", "64MB", "--batch-size", "16", "--buffer-timeout", "1ms"]


class Files(Setting):
    """file_count on files: `expected` is (line, n) -> times, as without a fault."""

    def __init__(self, name, given, parallelism=2, backend="rocksdb", pause_us=1000, options=(), first=None):
        self.name, self.given, self.parallelism, self.backend = name, given, parallelism, backend
        self.pause_us, self.options, self.first = pause_us, list(options), first

    def argv(self, cell):
        return [PROGRAMS / "file_count", "--in", self.given.directory, "--out", cell.directory / "out",
                "--checkpoints", cell.directory / "checkpoints", "--read-pause-us",
                str(self.pause_us * cell.slower), "--parallelism",
                str(cell.parallelism()), "--state-backend", self.backend, *OPTIONS, *self.options]

    def prepare(self, cell):
        if self.first is not None:  # a copy of what an earlier life has left
            shutil.copytree(self.first, cell.directory, dirs_exist_ok=True)

    def judge(self, cell):
        counts, files = collections.Counter(), {}
        for path in (cell.directory / "out").iterdir():
            if path.name.startswith("."):
                raise Broken(f"a hidden file is left: {path}\n{cell.said()}")
            files[path] = path.read_bytes().splitlines()
            counts.update(files[path])
        if counts != self.given.expected:
            lost = list((self.given.expected - counts).items())[:10]
            added = list((counts - self.given.expected).items())[:10]
            raise Broken(f"lost {lost}, too many {added}\n{cell.said()}")
        for path, lines in files.items():
            judge_order(path, lines, cell)
        self.judge_directory(cell)

    def judge_directory(self, cell):
        home = cell.directory / "checkpoints" / "file-count"
        left = [path for path in home.rglob("*") if ".tmp" in path.name or path.name.startswith("tmp-")]
        left += [path for path in (cell.directory / "savepoints").glob(".*")]
        if left:
            raise Broken(f"temporary files are left: {left}\n{cell.said()}")
        newest = max(home.glob("chk-*/_metadata"), key=lambda path: int(path.parent.name[4:])).parent
        verify(newest, cell)


def judge_order(path, lines, cell):
    """Of one key in one file: each count is higher than the one before, and the last word is the timer's."""
    last = {}
    for line in lines:
        key, _, number = line.partition(b"\t")
        if key in last and (last[key] < 0 or 0 < int(number) <= last[key]):
            raise Broken(f"{path}: {line} comes behind {last[key]}\n{cell.said()}")
        last[key] = int(number)


def verify(path, cell):
    done = subprocess.run([WEIR, "inspect", path, "--verify"], capture_output=True, text=True, timeout=LIFE_LIMIT_S,
                          check=False)
    if done.returncode != 0:
        raise Broken(f"{path} does not verify: {done.stdout}{done.stderr}\n{cell.said()}")


def wait_for_words(process, path, words, count=1):
    """Until the log has them, or the process has ended."""
    deadline = time.monotonic() + LIFE_LIMIT_S
    while process.poll() is None and path.read_bytes().count(words) < count and time.monotonic() < deadline:
        time.sleep(0.002)


class Stopped(Files):
    """The first life is stopped with a savepoint; the next ones go on."""

    def argv(self, cell):
        return [*super().argv(cell), "--savepoints", cell.directory / "savepoints", "--stop-with-savepoint"]

    def meet(self, cell, process, path):
        if len(cell.lives) == 1:
            wait_for_words(process, path, b" completed in ")
            process.terminate()

    def is_over(self, cell, path):
        return super().is_over(cell, path) and len(cell.lives) > 1

    def judge(self, cell):
        super().judge(cell)
        for path in (cell.directory / "savepoints").glob("savepoint-*"):
            verify(path, cell)


class Imported(Files):
    """From a savepoint; with a checkpoint of its own it goes on from that, as an operator would."""

    def argv(self, cell):
        has_own = any((cell.directory / "checkpoints").rglob("_metadata"))
        (savepoint,) = (self.first / "savepoints").glob("savepoint-*")
        return [*super().argv(cell), *([] if has_own else ["--from-savepoint", savepoint])]

    def prepare(self, cell):
        shutil.copytree(self.first / "out", cell.directory / "out")


class Damaged(Files):
    """For the test of the judge: something happens to what a cell has left."""

    def __init__(self, like, damage):
        super().__init__(f"damaged-{damage.__name__}", like.given, like.parallelism)
        self.damage = damage

    def judge(self, cell):
        self.damage(cell)
        super().judge(cell)


class Copied(Setting):
    """kafka_copy from one topic to one of the cell's own."""

    def __init__(self, bootstrap, kafka, topic, expected, parallelism=1):
        self.name = "kafka"
        self.bootstrap, self.kafka, self.topic, self.expected = bootstrap, kafka, topic, expected
        self.parallelism = parallelism

    def out(self, cell):
        return f"out-{self.parallelism}-{cell.name}-{cell.slower}"

    def prepare(self, cell):
        self.kafka.create_topic(self.out(cell), partitions=2)

    def argv(self, cell):
        return [PROGRAMS / "kafka_copy", "--brokers", self.bootstrap, "--topic", self.topic, "--out-topic",
                self.out(cell), "--group", self.out(cell), "--job-name", self.out(cell), "--bounded", "--checkpoints",
                cell.directory / "checkpoints", "--parallelism", str(self.parallelism), *OPTIONS]

    def judge(self, cell):
        found = sorted(record.value for record in self.kafka.read(self.out(cell)))
        if found != self.expected:
            lost = collections.Counter(self.expected) - collections.Counter(found)
            added = collections.Counter(found) - collections.Counter(self.expected)
            raise Broken(f"lost {list(lost.items())[:10]}, too many {list(added.items())[:10]}\n{cell.said()}")


# ---------------------------------------------------------------- a cluster of the cell's own


class Clustered(Files):
    """file_count on a job manager and a task manager, one of which has the fault; who dies is started again."""

    BEHIND_THE_END = frozenset({"job-over-store"})  # a leader that says FINISHED has recovered from it
    WORKERS = {"worker-start", "deploy-receive", "ack-forward"}  # or the task manager that starts them
    SETTINGS = {"heartbeat.interval": "100ms", "heartbeat.timeout": "1s", "high-availability.type": "file",
                "high-availability.file.lease": "200ms"}

    def live(self, cell):
        one = _Daemons(cell, self.SETTINGS, cell.step not in self.WORKERS)
        try:
            one.run([str(part) for part in self.argv(cell)[1:]], self.operation(cell))
        finally:
            one.close()


    def operation(self, _cell):
        """Something to ask for while the job runs: (method, what is behind the job's path, body)."""
        return None


class Operated(Clustered):
    """The same, and somebody rescales the job, asks for a savepoint, stops or cancels it."""

    ASKED = {"rescale": ("PATCH", "/rescaling?parallelism=1", None), "cancel": ("PATCH", "", None),
             "savepoint": ("POST", "/savepoints", {"cancel-job": False}), "stop": ("POST", "/stop", {"drain": False})}

    def operation(self, cell):
        method, path, body = self.ASKED[cell.step.split("-")[0]]
        if body is not None:
            body = {**body, "target-directory" if path == "/savepoints" else "targetDirectory":
                    os.fspath(cell.directory / "savepoints")}
        return method, path, body


class _Daemons:
    def __init__(self, cell, settings, is_in_job_manager):
        self.cell = cell
        (cell.directory / "tmp").mkdir()
        self.rest, rpc = cluster.free_port(), cluster.free_port()
        common = {**settings, "io.tmp.dirs": cell.directory / "tmp", "jobmanager.rpc.port": rpc,
                  "high-availability.storageDir": cell.directory / "ha"}
        self.kinds = {"jobmanager": (is_in_job_manager, {**common, "rest.port": self.rest}),
                      "taskmanager": (not is_in_job_manager, {**common, "taskmanager.numberOfTaskSlots": SLOTS})}
        self.running = {}
        self.job = None
        self.over = set()  # jobs that have ended before the input has: they were stopped or cancelled

    def look_after(self):
        """Starts what does not run; only a fault may have ended it."""
        for kind, (has_fault, settings) in self.kinds.items():
            daemon = self.running.get(kind)
            if daemon is not None and daemon.poll() is None:
                continue
            if daemon is not None and not (has_fault and self.cell.fired()):
                raise Broken(f"the {kind} ended with {daemon.returncode}\n{self.cell.said()}")
            argv = [program.FAULT_BIN / f"weir-{kind}", "--conf", os.devnull]
            for key, value in settings.items():
                argv += ["-D", f"{key}={value}"]
            env = self.cell.environment()
            if not has_fault:
                env.pop("WEIR_FAULT", None)
            with open(self.cell.directory / f"{kind}.log", "ab") as out:
                self.running[kind] = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    def ask(self, method, path, body=None):
        """None: nobody answers, or not now."""
        try:
            return cluster.request(self.rest, method, path, body, limit_s=5)
        except (cluster.NoLeader, cluster.Refused):
            return None

    def submit(self, arguments):
        jobs = self.ask("GET", "/v1/jobs")
        if jobs is None:
            return
        new = [it["id"] for it in jobs["jobs"] if it["id"] not in self.over]
        if new:  # the answer was lost, the job was not
            self.job = new[0]
            return
        data, digest = _binary()
        self.ask("PUT", f"/v1/blobs/{digest}", data)
        self.ask("POST", "/v1/jobs", {"digest": digest, "program": "file_count", "arguments": arguments})

    def operate(self, operation):
        """Asked again until the fault has fired, as somebody would who has had no answer."""
        method, path, body = operation
        newest = self.ask("GET", f"/v1/jobs/{self.job}/checkpoints")
        if newest is not None and newest["latest"]["completed"] is not None and not self.cell.has_fired():
            self.ask(method, f"/v1/jobs/{self.job}{path}", body)

    def run(self, arguments, operation):
        deadline = time.monotonic() + LIFE_LIMIT_S
        while time.monotonic() < deadline:
            self.look_after()
            if self.job is None:
                self.submit(arguments)
            elif self.follow(operation) and self.has_no_worker():
                return
            time.sleep(0.02)
        raise Broken(f"the cluster did not finish the job in {LIFE_LIMIT_S} s: {self.cell.fired()}\n{self.cell.said()}")

    def follow(self, operation):
        """True: it has come to the end of its input."""
        said = self.ask("GET", f"/v1/jobs/{self.job}/status")
        status = said and said["status"]
        if status == "FAILED":
            raise Broken(f"the job has failed\n{self.cell.said()}")
        if status == "CANCELED" or (status == "FINISHED" and self.is_stopped()):
            self.over.add(self.job)
            self.job = None
        elif operation is not None and status == "RUNNING":
            self.operate(operation)
        return status == "FINISHED" and self.job is not None

    def has_no_worker(self):
        """One that is killed while it ends leaves the file that it was about to store."""
        said = self.ask("GET", "/v1/overview")
        return said is not None and said["slots-total"] == said["slots-available"] == SLOTS

    def is_stopped(self):
        """It has ended well, but not all lines were read."""
        lines = sum(len(path.read_bytes().splitlines()) for path in (self.cell.directory / "out").iterdir()
                    if not path.name.startswith("."))
        return lines < sum(self.cell.setting.given.expected.values())

    def close(self):
        for daemon in self.running.values():
            daemon.kill()
            daemon.wait()


_binary_lock = threading.Lock()
_binary_found = []


def _binary():
    """(bytes, digest) of file_count, without what only a debugger needs."""
    with _binary_lock:
        if not _binary_found:
            with tempfile.NamedTemporaryFile() as stripped:
                subprocess.run(["strip", "-o", stripped.name, PROGRAMS / "file_count"], check=True, timeout=60)
                data = pathlib.Path(stripped.name).read_bytes()
            _binary_found.append((data, hashlib.sha256(data).hexdigest()))
        return _binary_found[0]
