"""The Kafka sink without the engine, as Python calls: lives of test/e2e/tools/kafka_publisher.c.

What   Output(kafka, name) is a topic, a directory of checkpoints and a read_committed reader that runs
       all the while. Its lives are started, met at the lines they say, killed, frozen and started again
       on the same directory. At the end judge() compares what the reader saw with what had to be written:
       every record once, in order per partition and unit, no torn transaction, nothing missing.
How    The publisher is built with fault points (make VARIANT=faults) when the sources are newer.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import broker
import kafka_tools
import kills

VARIANT = os.environ.get("WEIR_VARIANT", "faults")  # "cover": make cover counts what these tests run
PROGRAMS = broker.BUILD / VARIANT / "e2e"
PROGRAM = PROGRAMS / "kafka_publisher"
VERIFY = broker.ROOT / "test" / "oracle" / "verify.py"
EXIT_STATE, EXIT_CONNECTOR, EXIT_FENCED = 14, 15, 19  # include/weir/error.h
UNITS = 4
RECORDS = 10

# Where a life can be made to end: base/fault.h, what this program passes.
POINTS = ("kafka-init-after", "kafka-judge-after", "kafka-produce-after", "kafka-commit-before",
          "kafka-commit-after", "kafka-publish-after", "snapshot-write-after", "checkpoint-publish-before",
          "checkpoint-publish-after", "notify-receive-before")


def build(program="kafka_publisher"):
    """Lets make bring a program that links the engine up to date."""
    target = os.path.relpath(PROGRAMS / program, broker.ROOT)
    done = subprocess.run(["make", "--no-print-directory", f"VARIANT={VARIANT}", target],
                          cwd=broker.ROOT, check=False, capture_output=True, text=True, timeout=900,
                          env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})
    if done.returncode != 0:
        raise kafka_tools.ToolError("make", done.returncode, done.stderr[-4000:])


class Life:
    """One running publisher. Lines of stdout and stderr are kept as they come."""

    def __init__(self, argv, fault=None):
        environment = dict(os.environ)
        environment.pop("WEIR_FAULT", None)
        if fault:
            environment["WEIR_FAULT"] = fault
        self.process = broker.spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=environment)
        self.lines, self.errors = [], []
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in
                         ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe, lines):
        for line in pipe:
            with self._changed:
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_line(self, text, timeout_s=60, errors=False, count=1):
        """Returns True once `count` lines begin with (stderr: contain) the text; False: it ended before."""
        deadline = time.monotonic() + timeout_s
        lines = self.errors if errors else self.lines
        with self._changed:
            while sum((text in line) if errors else line.startswith(text) for line in lines) < count:
                left = deadline - time.monotonic()
                if self.process.poll() is not None and not any(t.is_alive() for t in self._threads):
                    return False
                if left <= 0:
                    raise AssertionError(f"no line '{text}' in {timeout_s} s:\n{self.said()}")
                self._changed.wait(min(left, 0.2))
        return True

    def wait(self, timeout_s=180):
        """The exit status; negative: killed by that signal."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.close()
            raise AssertionError(f"the publisher did not end in {timeout_s} s:\n{self.said()}") from None
        if status == -signal.SIGKILL and not self.process.stdout.closed:
            kills.count("job")
        self._close_pipes()
        return status

    def _close_pipes(self):
        for thread in self._threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def close(self):
        """Ends it with the test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self._close_pipes()

    def kill9(self):
        self.process.kill()
        return self.wait()

    def freeze(self):
        kills.count("job")
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def said(self):
        return "\n".join(self.lines[-10:] + self.errors[-20:])


class Output:
    """A topic, its checkpoints, and who reads it. Context manager."""

    def __init__(self, kafka, name, scratch, partitions=3, bootstrap=None, seed=1, config=None, **options):
        self.kafka, self.topic = kafka, name
        self.bootstrap = bootstrap or kafka.bootstrap
        self.directory = pathlib.Path(scratch) / name
        self.options = {"units": UNITS, "records": RECORDS, "token_topic": f"tokens-{name}", **options}
        self.random = random.Random(seed)
        self.done = None
        self.lives = []
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        kafka.create_topic(name, partitions=partitions, config=config)
        self.dump = self.directory / "dump"
        self.tail = kafka.tail(name, self.dump)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for life in self.lives:
            life.close()
        self.tail.__exit__()

    def start(self, fault=None, **options):
        options = {**self.options, "seed": self.random.randrange(1 << 60), **options}
        settings = [part for pair in options.pop("settings", ()) for part in ("-X", pair)]
        argv = [PROGRAM, "--brokers", self.bootstrap, "--topic", self.topic, "--dir", self.directory,
                *settings, *kafka_tools._options(options)]
        self.lives.append(Life(argv, fault))
        return self.lives[-1]

    def run(self, **options):
        """One life to its end: (status, life)."""
        life = self.start(**options)
        return life.wait(), life

    def go_back(self, checkpoint):
        """The operator removes the checkpoints behind this one."""
        for path in (self.directory / "publisher").glob("chk-*"):
            if int(path.name.split("-")[1]) > int(checkpoint):
                shutil.rmtree(path)

    def finish(self, **options):
        """The last life: everything out. Returns the number of epochs."""
        status, life = self.run(finish=True, **options)
        if status != 0:
            raise AssertionError(f"the last life ended with {status}:\n{life.said()}")
        self.done = int(life.lines[-1].split()[1])
        return self.done

    def expected(self):
        units, records = self.options["units"], self.options["records"]
        return [f"{u}-{e}-{i}" for u in range(units) for e in range(self.done) for i in range(records)]

    def judge(self, units=True):
        """Fails unless the reader saw exactly what had to be written; returns the verifier's words."""
        records = self.tail.stop()
        ids = self.directory / "expected"
        ids.write_text("".join(line + "\n" for line in self.expected()))
        argv = [sys.executable, VERIFY, "--ledger", self.dump, "--expect", ids,
                "--order-within", r"^(\d+)-"]
        if units:
            argv += ["--units", self.dump]
        done = subprocess.run([os.fspath(a) for a in argv], check=False, capture_output=True, text=True,
                              timeout=300)
        if done.returncode != 0:
            raise AssertionError(f"{self.topic}: {done.stdout}{done.stderr}")
        assert len(records) == len(self.expected())
        return done.stdout.strip()
