"""Programs of Weir as a person runs them: a command, a bounded time, an exit status, words on stderr.

What   run() starts a program and waits for its end; start() leaves it running, to be met at a line of
       its log. ProgramTest is a TestCase with a directory of its own and assertions on how a program ended:
       by which status, with which words, and never by a signal or by running out of time.
How    Programs come from build/bin; jobs of the tests' own (jobs/<name>.c) are compiled once against
       build/libweir.a, as a user would. Nothing outlives the test (broker.spawn). Tables of expected
       output: the oracle for userprofile, the rules in jobs/steady.c for steady.
"""

import collections
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import broker

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(os.environ.get("WEIR_ROOT", HERE.parents[1]))
BUILD = broker.BUILD
BIN = pathlib.Path(os.environ.get("WEIR_BIN", BUILD / "bin"))
FAULT_BIN = BUILD / "faults" / "bin"  # programs that WEIR_FAULT can kill at a named point
LIMIT_S = 60
EXIT = {"usage": 2, "plan": 3, "data": 10, "io": 11, "disk-full": 12, "corrupt": 13, "state": 14,
        "connector": 15, "timeout": 16, "limit": 18}

Result = collections.namedtuple("Result", "program status out err")


# ---------------------------------------------------------------- programs


def path_of(name, directory=None):
    """A program of the build: userprofile, or one of jobs/, with named points if the directory is FAULT_BIN."""
    if (HERE / "jobs" / f"{name}.c").exists():
        return _job(name, BUILD if directory is None else directory.parent)
    path = (directory or BIN) / name
    if not path.exists():
        raise AssertionError(f"{path} is missing: run make, or make faults")
    return path


def _job(name, build):
    source, binary = HERE / "jobs" / f"{name}.c", build / "e2e" / "jobs" / name
    library = build / "libweir.a"
    if not library.exists():
        raise AssertionError(f"{library} is missing: run make")
    made = binary.stat().st_mtime if binary.exists() else 0
    if made <= max(source.stat().st_mtime, library.stat().st_mtime):
        binary.parent.mkdir(parents=True, exist_ok=True)
        compile_job(source, binary, library)
    return binary


def compile_job(source, binary, library):
    """cc with nothing but what weir.pc says, statically linked with the engine."""
    said = subprocess.run(["pkg-config", "--static", "--cflags", "--libs", "weir"], check=True, timeout=60,
                          capture_output=True, text=True, env={**os.environ, "PKG_CONFIG_PATH": str(BUILD)})
    flags = [os.fspath(library) if flag == "-lweir" else flag for flag in shlex.split(said.stdout)]
    temporary = binary.with_suffix(f".{os.getpid()}")
    argv = [os.environ.get("CC", "cc"), "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-g",
            os.fspath(source), *flags, "-o", os.fspath(temporary)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(argv)}\n{done.stderr}")
    temporary.rename(binary)


def argv_of(program, *arguments, directory=None):
    return [os.fspath(path_of(program, directory)), *(str(part) for part in arguments)]


def run(program, *arguments, limit_s=LIMIT_S, before=(), **options):
    """Runs it to its end; `before` goes in front of the command (prlimit, setpriv)."""
    argv = [*before, *argv_of(program, *arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = f"still running after {limit_s} s"
        return Result(program, status, _text(out), _text(err))


def _text(file):
    file.seek(0)
    return file.read().decode("utf-8", "backslashreplace")


class Running:
    """A program that was started; its stdout and stderr go to `log`."""

    def __init__(self, log, program, *arguments, fault=None, **options):
        """`fault`: what WEIR_FAULT says to the build that has named points (base/fault.h)."""
        self.program, self.log = program, log
        if fault is not None:
            options["env"] = {**os.environ, "WEIR_FAULT": fault}
        argv = argv_of(program, *arguments, directory=FAULT_BIN if fault is not None else None)
        with open(log, "wb") as out:
            self.process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)

    def said(self):
        return self.log.read_text(errors="backslashreplace")

    def wait_for(self, words, limit_s=LIMIT_S, count=1):
        """Until its log has the words `count` times."""
        deadline = time.monotonic() + limit_s
        while self.said().count(words) < count:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.program} ({self.process.poll()}) did not say '{words}' {count} "
                                     f"times:\n{self.said()[-3000:]}")
            time.sleep(0.01)

    def end(self, number=None, limit_s=LIMIT_S):
        """Sends the signal, if one is given, and waits for the end."""
        if number is not None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = f"still running after {limit_s} s"
        return Result(self.program, status, "", self.said())


# ---------------------------------------------------------------- surroundings


@contextlib.contextmanager
def small_disk(size):
    """A file system of `size` bytes, as a path, or None where that is not allowed.

    It is mounted in a name space of its own, whose one process lets go of it when its input ends: so nothing
    stays mounted, however the test ends. /proc/<pid>/root shows it to everybody.
    """
    with tempfile.TemporaryDirectory() as place:
        script = f"mount -t tmpfs -o size={size} none {shlex.quote(place)} && echo ready && exec cat"
        argv = ["unshare", "--mount", "sh", "-c", script]
        try:
            holder = broker.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        except OSError:
            holder = None
        try:
            is_ready = holder is not None and holder.stdout.readline() == b"ready\n"
            yield pathlib.Path(f"/proc/{holder.pid}/root{place}") if is_ready else None
        finally:
            if holder is not None:
                holder.stdin.close()
                holder.wait(20)
                holder.stdout.close()


def as_mere_mortal():
    """What goes in front of a command so that even root cannot write where the mode forbids it."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def flip_byte(path, at=None):
    """Turns one bit of a file around, in its middle unless said otherwise; files may be shared links."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    replace(path, bytes(data))


def replace(path, data):
    """Writes the file anew, as a file of its own."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def copy(source, target):
    """A directory, whole; hard links become files of their own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


# ---------------------------------------------------------------- checkpoints


def checkpoints_of(job):
    """Complete ones in the checkpoint directory of a job, newest first."""
    return sorted((int(path.parent.name[4:]) for path in job.glob("chk-*/_metadata")), reverse=True)


def files_of(job, checkpoint):
    """The stored files that a checkpoint names, as paths in the directory."""
    metadata = (job / f"chk-{checkpoint}" / "_metadata").read_bytes()
    return {f"shared/{path.name}" for path in (job / "shared").iterdir() if path.name.encode() in metadata}


# ---------------------------------------------------------------- judging


def check_steady(output, count):
    """The rules in jobs/steady.c; returns how many records there are. None as `count`: so far."""
    return judge_steady({part: part.read_text().splitlines() for part in sorted(output.glob("part-*.ndjson"))}, count)


def judge_steady(parts, count):
    """The same of lines by file, or by partition, each in its order."""
    indices, seen = set(), collections.defaultdict(set)
    lines = 0
    for part, found in parts.items():
        last = {}  # of each key, in this file
        for line in found:
            try:
                record = json.loads(line)
            except ValueError as error:
                raise AssertionError(f"{part} is torn: {line!r}") from error
            if record["nth"] <= last.get(record["key"], 0):
                raise AssertionError(f"{part}: key {record['key']} is out of order at {record['nth']}")
            last[record["key"]] = record["nth"]
            indices.add(record["index"])
            seen[record["key"]].add(record["nth"])
            lines += 1
    if len(indices) != lines:
        raise AssertionError(f"{lines - len(indices)} of {lines} records are there twice")
    for key, nths in seen.items():
        if nths != set(range(1, len(nths) + 1)):
            raise AssertionError(f"key {key} was not counted right: {sorted(nths)[:20]}…")
    if count is not None and indices != set(range(count)):
        raise AssertionError(f"{len(indices)} of {count} records are there")
    return lines


def generate_events(directory, count, files=3, seed=7):
    """A history directory with the shape of real events."""
    subprocess.run([sys.executable, ROOT / "tools/generate_events.py", "--seed", str(seed), "--users",
                    str(max(50, count // 10)), "--count", str(count), "--files", str(files), "--out",
                    directory], check=True, timeout=300, stdout=subprocess.DEVNULL)


def check_profiles(history, output, *options, metrics=None):
    """The oracle's verdict over a run in file mode."""
    argv = [sys.executable, ROOT / "test/oracle/verify.py", "--history", history, "--output", output]
    if metrics is not None:
        argv += ["--metrics", oracle_metrics(metrics)]
    done = subprocess.run([os.fspath(part) for part in (*argv, *options)], capture_output=True, text=True,
                          timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(f"the oracle says {done.returncode}:\n{done.stdout}{done.stderr}")


def oracle_metrics(path):
    """--metrics-json of userprofile, as the oracle wants its counters."""
    metrics = json.loads(path.read_text())
    events, dedupe = metrics["counters"]["events"], metrics["counters"]["dedupe"]
    prefix = "dead_letters."
    quarantined = {name[len(prefix):]: value for name, value in events.items() if name.startswith(prefix)}
    exact = path.with_suffix(".oracle.json")
    exact.write_text(json.dumps({"events_in": metrics["events_in"], "quarantined": quarantined,
                                 "duplicates_dropped": dedupe["duplicates_dropped"]}))
    return exact


# ---------------------------------------------------------------- a test


class ProgramTest(unittest.TestCase):
    """`self.directory` is this test's own, and removed with it."""

    maxDiff = 4000

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.output = self.directory / "out"
        self.checkpoints = self.directory / "checkpoints"

    def start(self, program, *arguments, **options):
        """Started, and killed at the end of the test if it still runs."""
        log = self.directory / f"log-{len(list(self.directory.glob('log-*')))}"
        running = Running(log, program, *arguments, **options)
        self.addCleanup(lambda: running.process.poll() is None and running.end(signal.SIGKILL))
        return running

    def assert_ended(self, result, status, *words):
        """By itself, with this status, and all of the words on stderr."""
        context = f"{result.program} ended with {result.status}, wanted {status}:\n{result.err[-3000:]}"
        self.assertEqual(result.status, status, context)
        for word in words:
            self.assertIn(word, result.err)

    def assert_refused(self, result, status, *words):
        """One sentence in the name of the program at the very end, with all of the words in it."""
        self.assert_ended(result, status)
        name = f"{result.program}: "
        sentences = [at for at, line in enumerate(result.err.splitlines()) if line.startswith(name)]
        self.assertEqual(len(sentences), 1, result.err)
        sentence = "\n".join(result.err.splitlines()[sentences[0]:])
        for word in words:
            self.assertIn(word, sentence)

    def assert_well(self, result):
        """It ended with 0; returns what it said."""
        self.assert_ended(result, 0)
        return result.err
