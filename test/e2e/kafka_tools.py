"""The C test tools as Python calls, so that a test reads as what it checks.

What   Kafka(bootstrap) creates topics, feeds them and reads them back; Tail and Txn are running
       tools that a test stops, kills and asks. Records are tuples (partition, offset, key, value)
       with bytes or None.
How    Every call runs one of tools/*.c from build/e2e (built here if missing or older than its
       source, else as the Makefile left it). No tool outlives the test, every call is bounded.
"""

import base64
import collections
import json
import os
import pathlib
import select
import shlex
import signal
import subprocess
import time

import broker

SOURCES = broker.HERE / "tools"
BINARIES = broker.BUILD / "e2e"
FLAGS = ("-O2 -g -std=gnu17 -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes "
         "-Wmissing-prototypes -Wcast-qual -Wvla -Wundef -Wformat=2 -Wswitch-enum -Wconversion")
CALL_TIMEOUT_S = 180

Record = collections.namedtuple("Record", "partition offset key value")


class ToolError(Exception):
    """A tool ended with a status other than 0. `status` has it, the text is what it said."""

    def __init__(self, name, status, text):
        super().__init__(f"{name} ended with {status}: {text.strip()}")
        self.status = status


# ---------------------------------------------------------------- running tools


def build():
    """Compiles the tools whose binary is missing or older than their source."""
    with broker._locked(BINARIES / "lock", 120):
        header_time = (SOURCES / "tool.h").stat().st_mtime
        for source in sorted(SOURCES.glob("*.c")):
            if '#include "tool.h"' not in source.read_text():
                continue  # needs the engine: only make builds it
            binary = BINARIES / source.stem
            newest = max(source.stat().st_mtime, header_time)
            if not binary.exists() or binary.stat().st_mtime < newest:
                _compile(source, binary)


def _compile(source, binary):
    library = subprocess.run(["pkg-config", "--cflags", "--libs", "rdkafka"], check=False,
                             capture_output=True, text=True)
    if library.returncode != 0:
        raise ToolError("pkg-config", library.returncode, "install librdkafka-dev and pkg-config")
    argv = [os.environ.get("CC", "cc"), *FLAGS.split(), os.fspath(source), "-o",
            os.fspath(binary), *shlex.split(library.stdout)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise ToolError(f"compiling {source.name}", done.returncode, done.stderr)


def _options(options):
    """{"from_line": 7, "until_end": True} -> ["--from-line", "7", "--until-end"]"""
    argv = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        argv.append("--" + name.replace("_", "-"))
        if value is not True:
            argv.append(str(value))
    return argv


def _run(argv, stdin=b"", timeout_s=CALL_TIMEOUT_S):
    process = broker.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise ToolError(argv[0], "nothing", f"no end within {timeout_s} s") from None
    if process.returncode != 0:
        raise ToolError(pathlib.Path(argv[0]).name, process.returncode, stderr.decode())
    return stdout


def read_records(path):
    """The records of a kafka_tail file; a last line without line feed does not count yet."""
    records = []
    with open(path, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                records.append(_record(json.loads(line)))
    return records


def _record(line):
    key, value = (None if line[name] is None else base64.b64decode(line[name])
                  for name in ("key", "value"))
    return Record(line["partition"], line["offset"], key, value)


# ---------------------------------------------------------------- the calls


class Kafka:
    """Topics of one broker address. Options of the tools are keyword arguments: from_line=7."""

    def __init__(self, bootstrap):
        build()
        self.bootstrap = bootstrap

    def _argv(self, tool, *arguments, **options):
        return [os.fspath(BINARIES / tool), "-b", self.bootstrap, *arguments, *_options(options)]

    def create_topic(self, name, partitions=1, replication=None, config=None, **options):
        settings = [part for key, value in (config or {}).items() for part in
                    ("-c", f"{key}={value}")]
        _run(self._argv("kafka_topic", "create", name, *settings, partitions=partitions,
                        replication=replication, **options))

    def grow_topic(self, name, partitions):
        """To `partitions` partitions in total."""
        _run(self._argv("kafka_topic", "grow", name, partitions=partitions))

    def delete_topic(self, name):
        _run(self._argv("kafka_topic", "delete", name))

    def describe_topic(self, name):
        """A list: per partition a dict with low, high and stable."""
        return json.loads(_run(self._argv("kafka_topic", "describe", name)))["partitions"]

    def trim_topic(self, name, before):
        """Deletes the records below that offset, in every partition."""
        _run(self._argv("kafka_topic", "trim", name, before=before))

    def committed(self, name, group):
        """The group's committed offsets, a list by partition; None: none."""
        return json.loads(_run(self._argv("kafka_topic", "committed", name, group=group)))

    def join(self, name, group):
        """A live member of the group, as a context manager: wait_line("joined") first."""
        return Txn(self._argv("kafka_topic", "join", name, group=group))

    def feed(self, topic, lines, **options):
        """Values without key from bytes (split at line feeds) or a file; returns the summary."""
        argv = self._argv("kafka_feed", "-t", topic, **options)
        if isinstance(lines, bytes):
            return json.loads(_run(argv, lines))
        return json.loads(_run([*argv, os.fspath(lines)]))

    def feed_pairs(self, topic, pairs, **options):
        """(key, value) pairs, each bytes or None."""
        def column(data):
            return b"-" if data is None else base64.b64encode(data)
        text = b"".join(column(key) + b"\t" + column(value) + b"\n" for key, value in pairs)
        return self.feed(topic, text, base64=True, **options)

    def start_feed(self, topic, path, **options):
        """The process of a feed that runs beside the test; stdout is its summary."""
        argv = self._argv("kafka_feed", "-t", topic, os.fspath(path), **options)
        return broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def read(self, topic, until="high", **options):
        """All visible records. until="high" waits for open transactions, "end" does not."""
        options = {f"until_{until}": True, **options}
        text = _run(self._argv("kafka_tail", "-t", topic, **options))
        return [_record(json.loads(line)) for line in text.splitlines()]

    def digest(self, topic, **options):
        return json.loads(_run(self._argv("kafka_digest", "-t", topic, **options)))

    def latency(self, source, target, limit_s=CALL_TIMEOUT_S, **options):
        """How long records take from one topic to the other."""
        return json.loads(_run(self._argv("kafka_latency", "--in", source, "--out", target, **options), timeout_s=limit_s))

    def transact(self, topic, txid, **options):
        """Runs whole transactions, returns the lines that kafka_txn said."""
        text = _run(self._argv("kafka_txn", "-t", topic, "--id", txid, **options))
        return text.decode().splitlines()

    def tail(self, topic, path, **options):
        return Tail(self._argv("kafka_tail", "-t", topic, "-o", os.fspath(path), **options), path)

    def txn(self, topic, txid, **options):
        return Txn(self._argv("kafka_txn", "-t", topic, "--id", txid, **options))


class _Running:
    """A tool that runs beside the test. Context manager: killed at the end of the block."""

    def __init__(self, argv, **kwargs):
        self.name = pathlib.Path(argv[0]).name
        self.process = broker.spawn(argv, stdin=subprocess.DEVNULL, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill9()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def kill9(self):
        self.process.kill()
        self.process.wait()


class Tail(_Running):
    """A kafka_tail writing to a file while the test goes on."""

    def __init__(self, argv, path):
        self.path = path
        pathlib.Path(path).unlink(missing_ok=True)
        super().__init__(argv)
        self._wait_until_it_listens()

    def _wait_until_it_listens(self, timeout_s=60):
        """It makes its file after it began to catch signals: from then on stop() is heard."""
        deadline = time.monotonic() + timeout_s
        while not os.path.exists(self.path) and self.process.poll() is None:
            if time.monotonic() > deadline:
                raise ToolError(self.name, "nothing", "did not start")
            time.sleep(0.002)

    def records(self):
        """What it wrote so far."""
        return read_records(self.path) if os.path.exists(self.path) else []

    def wait_for(self, count, timeout_s=60):
        """The records, once there are `count` of them."""
        deadline = time.monotonic() + timeout_s
        while True:
            records = self.records()
            if len(records) >= count:
                return records
            if self.process.poll() is not None:
                raise ToolError(self.name, self.process.returncode, "ended too early")
            if time.monotonic() > deadline:
                raise ToolError(self.name, "nothing", f"only {len(records)} of {count} records")
            time.sleep(0.05)

    def stop(self, timeout_s=CALL_TIMEOUT_S):
        """Lets it read up to the present stable end; returns all records."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout_s)
        if status != 0:
            raise ToolError(self.name, status, "did not reach the end; see its stderr above")
        return self.records()


class Txn(_Running):
    """A kafka_txn to be met at a line it says: wait_line("flushed 3"), then kill9()."""

    def __init__(self, argv):
        super().__init__(argv, stdout=subprocess.PIPE)
        self._unread = b""

    def wait_line(self, wanted, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        said = []
        while True:
            line = self._next_line(deadline - time.monotonic())
            if line is None:
                raise ToolError(self.name, self.process.poll(), f"'{wanted}' not in {said}")
            if line == wanted:
                return
            said.append(line)

    def _next_line(self, timeout_s):
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            left = max(0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            part = os.read(self.process.stdout.fileno(), 4096)
            if not part:
                return None
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()
