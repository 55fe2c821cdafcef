#!/usr/bin/env python3
"""A real Apache Kafka broker, or a cluster of them, for end-to-end tests and benchmarks.

What   Broker(name) formats a fresh KRaft node (broker and controller in one process), starts it on
       free ports of 127.0.0.1 and waits until it answers the Kafka protocol. Tests stop, kill -9,
       freeze and restart it at will. Cluster(name) is the same thing with three nodes.
Why    The mock cluster of librdkafka has no isolation, no fencing and no admin API, so what the
       engine promises about exactly once can only be shown on the real thing.
Files  build/kafka/lib          the broker's jars, fetched once by Maven (see broker/pom.xml)
       build/kafka/classes.jsa  class-data archive: halves the CPU time of every start
       build/e2e/<name>/        node-<i>.properties, node-<i>.log, node-<i>/ (data, till close)
Limits Every wait is bounded. No broker outlives the test: context manager, atexit, a handler for
       SIGTERM, and PR_SET_PDEATHSIG for the case that the test itself is killed with -9.

Needs only the standard library, a Java runtime and (once) Maven. See README.md beside this file.
"""

import argparse
import atexit
import collections
import contextlib
import ctypes
import fcntl
import hashlib
import os
import pathlib
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

import kills

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("WEIR_BUILD_DIR", ROOT / "build")).resolve()
KAFKA = BUILD / "kafka"
POM = HERE / "broker" / "pom.xml"
ARCHIVE = KAFKA / "classes.jsa"
INSTALL_HINT = "install default-jre-headless and maven"
CLUSTER_ID = "WeirEndToEndTestBroke"[:21] + "A"  # 22 characters of base64url, 16 bytes

FETCH_TIMEOUT_S = 600
FORMAT_TIMEOUT_S = 60
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
LOG_TAIL_LINES = 40

# What every node is set to. Values are for small, quick, truthful tests; see README.md.
SETTINGS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": 8 << 20,
    "replica.fetch.max.bytes": 8 << 20,
    "socket.request.max.bytes": 128 << 20,
    # Test events carry old timestamps, and retention by time looks at those: keep everything.
    "log.retention.ms": -1,
    "log.cleaner.dedupe.buffer.size": 16 << 20,  # the default is half of our heap
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    # After kill -9 a node may not register again before its old session ends: 9 s by default.
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 400,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.election.backoff.max.ms": 200,
}


class BrokerError(Exception):
    """The broker could not be fetched, started, reached or stopped; the text says why."""


class ToolsMissing(BrokerError):
    """No Java, or no Maven and the broker is not fetched yet. Tests skip (or fail if CI=true)."""


# ---------------------------------------------------------------- child processes

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class _Spawner:
    """Forks every child from one thread that lives as long as the process.

    PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process. A fault-injecting
    thread that restarts a broker and then returns would take the broker down with it.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._requests = None

    def spawn(self, argv, kwargs):
        with self._lock:
            if self._requests is None:
                self._requests = queue.Queue()
                threading.Thread(target=self._serve, daemon=True, name="spawner").start()
        answer = queue.Queue()
        self._requests.put((argv, kwargs, answer))
        process, error = answer.get()
        if error:
            raise error
        return process

    def _serve(self):
        while True:
            argv, kwargs, answer = self._requests.get()
            try:
                answer.put((subprocess.Popen(argv, **kwargs), None))
            except BaseException as error:  # handed over to the thread that asked
                answer.put((None, error))


_SPAWNER = _Spawner()


def spawn(argv, **kwargs):
    """subprocess.Popen whose child is killed when this process dies, however it dies.

    The child has its own session: Ctrl-C reaches the test only, which then cleans up in order. And it does not
    ignore SIGINT, even if the tests run in the background of a shell, which makes its jobs do so.
    """
    parent = os.getpid()

    def die_with_parent():
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent was gone before the line above
            os._exit(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    argv = [os.fspath(arg) for arg in argv]
    if os.path.isabs(argv[0]) and not os.path.exists(argv[0]):
        raise BrokerError(f"{argv[0]} is missing: run 'make programs'")
    return _SPAWNER.spawn(argv, dict(kwargs, preexec_fn=die_with_parent, start_new_session=True))


def stop_process(process, timeout_s=STOP_TIMEOUT_S):
    """SIGTERM, a bounded wait, then SIGKILL; ends frozen processes too. Returns the status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


_OPEN = set()  # every Broker that may have processes or a lock


@atexit.register
def _close_all():
    for broker in list(_OPEN):
        broker.close()


def _on_sigterm(number, frame):
    raise KeyboardInterrupt("SIGTERM")


def _unwind_on_sigterm():
    """Makes SIGTERM act as Ctrl-C, so that `with` and atexit run. Leaves other handlers alone.

    Not SystemExit: unittest takes that for the failure of one test, and goes on with the next.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


# ---------------------------------------------------------------- fetching the broker


def missing_tools():
    """The programs that a test run would need and that are not installed, as a list of names."""
    missing = [] if shutil.which("java") else ["java"]
    if not _fetched() and not shutil.which("mvn"):
        missing.append("mvn")
    return missing


def require_tools():
    missing = missing_tools()
    if missing:
        raise ToolsMissing(f"{' and '.join(missing)} not found: {INSTALL_HINT}")


def or_skip(require, *arguments):
    """Calls what brings a test's tools. Without them CI fails; elsewhere the tests are skipped, loudly."""
    try:
        require(*arguments)
    except ToolsMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        print(f"SKIPPED: {missing}", file=sys.stderr, flush=True)
        raise unittest.SkipTest(str(missing))


def _stamp_text():
    return hashlib.sha256(POM.read_bytes()).hexdigest() + "\n"


def _fetched():
    stamp = KAFKA / "stamp"
    return stamp.exists() and stamp.read_text() == _stamp_text()


@contextlib.contextmanager
def _locked(path, wait_s):
    """Holds a lock file; fails if another test run holds it for longer than wait_s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        _flock(lock, path, wait_s)
        yield


def _flock(lock, path, wait_s):
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BrokerError(f"{path} is locked: another run uses this directory") from None
            time.sleep(0.1)


def fetch():
    """Puts the broker into build/kafka/lib and makes the class-data archive, once."""
    require_tools()
    with _locked(KAFKA / "lock", FETCH_TIMEOUT_S):
        if not _fetched():
            print("broker: fetching the Kafka broker (43 MB), once", file=sys.stderr, flush=True)
            shutil.rmtree(KAFKA / "lib", ignore_errors=True)
            ARCHIVE.unlink(missing_ok=True)
            _run_maven()
            (KAFKA / "stamp").write_text(_stamp_text())
        if not ARCHIVE.exists():
            _make_archive()


def _run_maven():
    argv = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies",
            f"-DoutputDirectory={KAFKA / 'lib'}", "-DincludeScope=runtime"]
    process = spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        output, _ = process.communicate(timeout=FETCH_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise BrokerError(f"Maven did not fetch the broker in {FETCH_TIMEOUT_S} s") from None
    if process.returncode != 0:
        raise BrokerError(f"Maven could not fetch the broker:\n{output[-4000:]}")


def _make_archive():
    """One throw-away broker writes down which classes it loaded. A failure only costs speed."""
    temporary = ARCHIVE.with_suffix(".tmp")
    try:
        with Broker("class-archive", _jvm_options=[f"-XX:ArchiveClassesAtExit={temporary}"]) as one:
            one.stop(timeout_s=60)
        temporary.rename(ARCHIVE)
    except (BrokerError, OSError) as error:
        print(f"broker: no class-data archive, starts are slower: {error}", file=sys.stderr)


# ---------------------------------------------------------------- one node


def hold_port():
    """A free port of 127.0.0.1, and the socket that keeps it ours.

    The socket is bound but never listens. Linux lets a server bind the same port beside it, because
    both set SO_REUSEADDR, but hands the port to nobody else: not to another test, and not as
    the local port of a client that keeps reconnecting while the server is down (which would then
    connect to itself). So a restarted server always gets its port back.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


def _read_exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("the broker closed the connection")
        data += part
    return data


def members_seen_by(port, timeout_s=2.0):
    """The ids of the live brokers, asked from the broker at this port (Metadata request, v4)."""
    body = struct.pack(">hhih4siB", 3, 4, 1, 4, b"weir", 0, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(body)) + body)
        size = struct.unpack(">i", _read_exactly(connection, 4))[0]
        answer = _read_exactly(connection, size)
    position = 8  # correlation id, throttle time
    count = struct.unpack_from(">i", answer, position)[0]
    position += 4
    members = set()
    for _ in range(count):
        node, host_size = struct.unpack_from(">ih", answer, position)
        position += 6 + host_size + 4
        rack_size = struct.unpack_from(">h", answer, position)[0]
        position += 2 + max(rack_size, 0)
        members.add(node)
    return members


class _Node:
    """One broker process, its ports, its directory. Broker decides what happens to it and when."""

    def __init__(self, number, directory):
        self.number = number
        self.directory = directory
        self.data = directory / f"node-{number}"
        self.log = directory / f"node-{number}.log"
        self.properties = directory / f"node-{number}.properties"
        self.process = None
        self.paused = False
        self._broker_hold, self.port = hold_port()
        self._controller_hold, self.controller_port = hold_port()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def write_properties(self, settings, voters):
        lines = {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
                         f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.data,
            **settings,
        }
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        self.properties.write_text(text, encoding="utf-8")

    def spawn_java(self, options, main, *arguments):
        jars = ":".join(sorted(os.fspath(jar) for jar in (KAFKA / "lib").glob("*.jar")))
        argv = ["java", *options, "-cp", jars, main, *arguments]
        with open(self.log, "ab") as log:
            return spawn(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    def format(self, options):
        process = self.spawn_java(options, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID,
                                  "-c", self.properties)
        try:
            status = process.wait(FORMAT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = f"nothing within {FORMAT_TIMEOUT_S} s"
        if status != 0:
            raise BrokerError(f"formatting storage ended with {status}\n{self.log_tail()}")

    def start(self, options):
        if self.running():
            raise BrokerError(f"node {self.number} is already running")
        self.paused = False
        self.process = self.spawn_java(options, "kafka.Kafka", self.properties)

    def log_tail(self, lines=LOG_TAIL_LINES):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                tail = "".join(collections.deque(log, lines))
        except OSError as error:
            tail = f"(no log: {error})\n"
        return f"--- the last lines of {self.log}:\n{tail}---"

    def release(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._broker_hold.close()
        self._controller_hold.close()


# ---------------------------------------------------------------- the broker


class Broker:
    """A running Kafka: with Broker("name") as broker: ... broker.bootstrap ...

    Nodes are numbered from 1. A method that takes `node` acts on all nodes when it is None.
    Thread: any, but one at a time per node.
    """

    def __init__(self, name, nodes=1, settings=None, heap_mb=256, keep_data=False,
                 start_timeout_s=START_TIMEOUT_S, _jvm_options=None):
        """`name`: of a directory below build/e2e, or the path of one elsewhere."""
        self.name = name
        self.directory = BUILD / "e2e" / name
        self.keep_data = keep_data
        self.start_timeout_s = start_timeout_s
        self.settings = {**SETTINGS, **_replication(nodes), **(settings or {})}
        self._heap_mb = heap_mb
        self._extra_options = _jvm_options
        self._count = nodes
        self._nodes = []
        self._lock = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    @property
    def bootstrap(self):
        """The value for bootstrap.servers; stays the same over restarts."""
        if not self._nodes:
            raise BrokerError(f"broker '{self.name}' is not started")
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)

    def pid(self, node=1):
        return self._running(node)[0].process.pid

    def start(self):
        """Formats fresh storage, starts every node, returns self when all of them are ready."""
        if self._extra_options is None:
            fetch()
        _unwind_on_sigterm()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.directory / "lock", "w", encoding="ascii")
        _OPEN.add(self)
        try:
            _flock(self._lock, self.directory / "lock", 0)
            self._create_nodes()
            for node in self._nodes:
                node.format(self._jvm_options(small=True))
            for node in self._nodes:
                node.start(self._jvm_options())
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def _create_nodes(self):
        self._nodes = [_Node(i + 1, self.directory) for i in range(self._count)]
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in self._nodes)
        for node in self._nodes:
            shutil.rmtree(node.data, ignore_errors=True)
            node.log.unlink(missing_ok=True)
            node.write_properties(self.settings, voters)

    def _jvm_options(self, small=False):
        options = [f"-Xmx{64 if small else self._heap_mb}m", "-XX:+UseSerialGC",
                   "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
                   "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true"]
        logger = "-Dorg.slf4j.simpleLogger."
        options += [f"{logger}showDateTime=true", f"{logger}dateTimeFormat=HH:mm:ss.SSS",
                    f"{logger}showThreadName=false", f"{logger}showShortLogName=true",
                    f"{logger}log.org.apache.kafka.common.config=warn"]
        if not small:
            archive = [f"-XX:SharedArchiveFile={ARCHIVE}"] if ARCHIVE.exists() else []
            options += archive if self._extra_options is None else self._extra_options
        return options

    def wait_ready(self, timeout_s=None):
        """Returns when every running node answers and knows all running nodes as live members."""
        timeout_s = timeout_s or self.start_timeout_s
        deadline = time.monotonic() + timeout_s
        nodes = [n for n in self._nodes if n.process is not None and not n.paused]
        expected = {n.number for n in nodes}
        for node in nodes:
            reason = "it did not listen"
            while True:
                if not node.running():
                    raise BrokerError(f"node {node.number} of broker '{self.name}' ended with "
                                      f"status {node.process.returncode}\n{node.log_tail()}")
                try:
                    members = members_seen_by(node.port)
                    if expected <= members:
                        break
                    reason = f"it knows the members {sorted(members)}, not {sorted(expected)}"
                except OSError as error:
                    reason = str(error)
                if time.monotonic() >= deadline:
                    raise BrokerError(f"node {node.number} of broker '{self.name}' was not ready "
                                      f"in {timeout_s} s: {reason}\n{node.log_tail()}")
                time.sleep(0.05)

    def stop(self, node=None, timeout_s=STOP_TIMEOUT_S):
        """Orderly: SIGTERM, SIGKILL after timeout_s. Keeps data and ports for restart()."""
        chosen = [n for n in self._chosen(node) if n.process is not None]
        for each in chosen:  # first tell all of them: they hand leadership over while they stop
            if each.running():
                each.process.send_signal(signal.SIGTERM)
                each.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + timeout_s
        for each in chosen:
            stop_process(each.process, max(0.1, deadline - time.monotonic()))
            each.process = None

    def kill9(self, node=None):
        """SIGKILL. Keeps data and ports for restart()."""
        for each in self._running(node):
            kills.count("broker")
            each.process.kill()
            each.process.wait()
            each.process = None

    def restart(self, node=None, wait=True):
        """Starts what is not running (after stop or kill9) on the same port and data."""
        for each in self._chosen(node):
            if not each.running():
                each.start(self._jvm_options())
        if wait:
            self.wait_ready()

    def pause(self, node=None):
        """SIGSTOP: the node keeps its connections and answers nothing."""
        for each in self._running(node):
            kills.count("broker")
            each.process.send_signal(signal.SIGSTOP)
            each.paused = True

    def resume(self, node=None):
        """SIGCONT. Does not wait: a node that slept long may first have to register again."""
        for each in self._running(node):
            each.process.send_signal(signal.SIGCONT)
            each.paused = False

    def running(self, node=1):
        return self._node(node).running()

    def log_tail(self, node=1, lines=LOG_TAIL_LINES):
        return self._node(node).log_tail(lines)

    def close(self):
        """Ends every process at once, frees ports and lock, removes the data (not the logs)."""
        for node in self._nodes:
            node.release()
            if not self.keep_data:
                shutil.rmtree(node.data, ignore_errors=True)
        self._nodes = []
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        _OPEN.discard(self)

    def _chosen(self, node):
        return list(self._nodes) if node is None else [self._node(node)]

    def _running(self, node):
        chosen = self._chosen(node)
        if node is not None and not chosen[0].running():
            raise BrokerError(f"node {node} of broker '{self.name}' is not running\n"
                              f"{chosen[0].log_tail()}")
        return [each for each in chosen if each.running()]

    def _node(self, number):
        return self._nodes[number - 1]


def Cluster(name, nodes=3, **kwargs):
    """A Broker of several nodes: every topic RF 3 and min ISR 2 unless it asks otherwise."""
    return Broker(name, nodes=nodes, **kwargs)


def _replication(nodes):
    factor = min(nodes, 3)
    min_isr = max(1, factor - 1)
    settings = {"default.replication.factor": factor, "min.insync.replicas": min_isr,
                "offsets.topic.replication.factor": factor}
    for topic in ("transaction.state.log", "share.coordinator.state.topic"):
        settings[f"{topic}.replication.factor"] = factor
        settings[f"{topic}.min.isr"] = min_isr
    return settings


# ---------------------------------------------------------------- command line


def _setting(text):
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is no KEY=VALUE")
    return key, value


def _run(arguments):
    """broker.py run: a broker until the command ends, or until SIGTERM, Ctrl-C."""
    require_tools()
    if arguments.command and not shutil.which(arguments.command[0]):
        raise BrokerError(f"there is no command '{arguments.command[0]}'")
    with Broker(arguments.name, nodes=arguments.nodes, settings=dict(arguments.set),
                keep_data=arguments.keep) as broker:
        if arguments.command:
            environment = dict(os.environ, WEIR_KAFKA=broker.bootstrap)
            child = spawn(arguments.command, env=environment)
            try:
                return child.wait()
            finally:
                stop_process(child)
        print(broker.bootstrap, flush=True)
        while True:
            signal.pause()


def main():
    parser = argparse.ArgumentParser(description="a real Kafka broker for tests")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check", help="say whether Java, Maven and the broker are there")
    verbs.add_parser("fetch", help="fetch the broker into build/kafka, once")
    run = verbs.add_parser("run", help="run a broker; print its address, or run COMMAND with "
                                       "WEIR_KAFKA set to it")
    run.add_argument("--name", default="run", help="directory below build/e2e")
    run.add_argument("--nodes", type=int, default=1, choices=range(1, 6))
    run.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=VALUE")
    run.add_argument("--keep", action="store_true", help="keep the data directory")
    run.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "run":
            if arguments.command[:1] == ["--"]:
                del arguments.command[0]
            return _run(arguments)
        if arguments.verb == "check":
            require_tools()
            print("fetched" if _fetched() else "not fetched yet")
        else:
            fetch()
        return 0
    except BrokerError as error:
        print(f"broker: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
