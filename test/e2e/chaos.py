"""Runs a Weir job over and over and kills it, at random moments and at named points.

What   Chaos(argv) starts the job, waits until it has done something, and kills it with SIGKILL; or starts
       it with WEIR_FAULT so that it kills itself at a named point of the protocol.
How    "Has done something" is read from the job's log: a checkpoint has completed. Random moments are
       drawn from a seed after that. Every wait has a bound; a job that ends by itself with an
       error fails the test with the end of its log.
"""

import os
import pathlib
import random
import re
import signal
import time

import broker
import kills

START_LIMIT_S = 60
FAULT_LIMIT_S = 60
END_LIMIT_S = 180


class JobFailed(Exception):
    """The job ended by itself although nobody killed it; the text has the end of its log."""


class Chaos:
    """One job, started many times. `directory` gets a log per start."""

    def __init__(self, argv, directory, seed):
        self.argv = [os.fspath(part) for part in argv]
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(seed)
        self.starts = 0
        self.fired = {}
        self.kills = 0

    def _start(self, extra=(), fault=None):
        self.starts += 1
        log = self.directory / f"run-{self.starts:03}.log"
        env = dict(os.environ)
        if fault is not None:
            env["WEIR_FAULT"] = fault
        with open(log, "wb") as out:
            process = broker.spawn(self.argv + list(extra), stdout=out, stderr=out, env=env)
        return process, log

    def _completed(self, log):
        return len(re.findall(rb"checkpoint: .*: \d+ completed in", log.read_bytes()))

    def _fail(self, what, process, log):
        tail = log.read_text(errors="replace").splitlines()[-25:]
        raise JobFailed(f"{what} (exit {process.poll()}), {log}:\n" + "\n".join(tail))

    def _await(self, process, log, ready, limit_s, what):
        deadline = time.monotonic() + limit_s
        while not ready():
            if process.poll() is not None:
                self._fail(f"the job ended while waiting for {what}", process, log)
            if time.monotonic() > deadline:
                process.kill()
                process.wait(20)
                self._fail(f"nothing after {limit_s} s: {what}", process, log)
            time.sleep(0.005)

    def kill_at_random(self, extra=()):
        """Kills it at a random moment: while it starts, or after a completed checkpoint or two."""
        process, log = self._start(extra)
        after = self.random.choice((0, 1, 1, 2))
        self._await(process, log, lambda: self._completed(log) >= after, START_LIMIT_S,
                    f"{after} completed checkpoints")
        deadline = time.monotonic() + self.random.uniform(0, 0.5)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is not None:
            self._fail("the job ended before it was killed", process, log)
        process.kill()
        process.wait(20)
        self._count()

    def kill_at(self, point, extra=(), nth=None):
        """The job kills itself at a named point, the nth time it passes; None: the seed says."""
        nth = nth or self.random.choice((1, 1, 2, 3))
        process, log = self._start(extra, fault=f"{point}:{nth}:kill")
        deadline = time.monotonic() + FAULT_LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            process.wait(20)
            raise JobFailed(f"fault point {point} was not passed {nth} times in {FAULT_LIMIT_S} s: {log}")
        if process.returncode != -signal.SIGKILL:
            self._fail(f"the job ended by itself before fault point {point}", process, log)
        self.fired[point] = self.fired.get(point, 0) + 1
        self._count()

    def _count(self):
        self.kills += 1
        kills.count("job")

    def stop(self, extra=()):
        """Starts it, and stops it in good order after a checkpoint: SIGTERM, exit 0."""
        process, log = self._start(extra)
        self._await(process, log, lambda: self._completed(log) >= 1, START_LIMIT_S, "a checkpoint")
        process.terminate()
        process.wait(END_LIMIT_S)
        if process.returncode != 0:
            self._fail("the job did not stop in good order", process, log)

    def finish(self, extra=()):
        """Runs it to its end: exit 0."""
        process, log = self._start(extra)
        try:
            process.wait(END_LIMIT_S)
        except Exception:
            process.kill()
            process.wait(20)
            self._fail(f"the job did not end in {END_LIMIT_S} s", process, log)
        if process.returncode != 0:
            self._fail("the job failed", process, log)
        return log
