#!/usr/bin/env python3
"""The protocol as Spin models, every interleaving: right as it is, and wrong with each rule broken.

Run: python3 test/model/test_model.py -v

Each test makes a checker of a model (spin, gcc) and runs it: all states up to the bounds of the row, no hashing that
loses any. A row that breaks a rule must end with the assertion that it names. WEIR_TEST_LONG=1: larger bounds.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = bool(os.environ.get("WEIR_TEST_LONG"))
MEMORY_MB = 8000 if LONG else 2000
DEPTH = 1000000
LIMIT_S = 7200 if LONG else 280  # of one checker


class Verdict:
    def __init__(self, text):
        self.text = text
        self.errors = int(re.search(r"errors: (\d+)", text).group(1))
        self.states = int(float(re.search(r"([\d.e+]+) states, stored", text).group(1)))
        self.is_whole = "Search not completed" not in text and "max search depth too small" not in text
        found = re.search(r"^pan:1: (.*) \(at depth", text, re.MULTILINE)
        self.what = found.group(1) if found else None


def check(model, flags, effort="-O0"):
    """Every interleaving, or up to the first error. Compiling takes longer than finding one."""
    with tempfile.TemporaryDirectory() as directory:
        defines = [f"-D{flag}" for flag in flags]
        if shutil.which("spin") is None:
            raise AssertionError("spin is missing: 'make deps' installs it")
        for command in (["spin", "-a", *defines, os.path.join(HERE, model)],
                        ["gcc", "-w", effort, "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"]):
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise AssertionError(f"{command[0]}: {done.stdout}{done.stderr}")
        # -E: who waits for ever is told by the assertions behind the models' time-outs, not by where it waits
        done = subprocess.run(["./pan", f"-m{DEPTH}", "-n", "-E"], cwd=directory, capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        return Verdict(done.stdout)


class Model(unittest.TestCase):
    def right(self, model, *flags):
        verdict = check(model, flags, "-O2")
        self.assertEqual(verdict.errors, 0, verdict.text)
        self.assertTrue(verdict.is_whole, verdict.text)
        print(f"  {model} {' '.join(flags)}: {verdict.states} states, no error", file=sys.stderr, flush=True)

    def wrong(self, model, flag, what, *flags):
        with self.subTest(flag):
            verdict = check(model, (flag, *flags))
            self.assertEqual(verdict.errors, 1, f"{flag} was not noticed:\n{verdict.text}")
            self.assertIn(what, verdict.what)


class Barrier(Model):
    def test_aligned_barriers_make_a_consistent_cut(self):
        bounds = ("RECORDS=2", "CHECKPOINTS=3", "ABORTS=1") if LONG else ("RECORDS=1", "CHECKPOINTS=3", "ABORTS=1")
        self.right("barrier.pml", *bounds)

    def test_each_broken_rule_is_noticed(self):
        cut, over, taken = "snapshot.taken[0]==snapshot.sent[0]", "is_over", "taken[0]==1"
        for flag, what in (("RECORD_BEHIND_BARRIER", cut), ("SNAPSHOT_AT_FIRST_BARRIER", cut), ("NO_ALIGNMENT", cut),
                           ("LATE_BARRIER_COUNTS", over), ("OLD_ALIGNMENT_GOES_ON", cut),
                           ("ABORT_KEEPS_BLOCKED", taken), ("ABORT_HITS_A_NEWER_ONE", over)):
            self.wrong("barrier.pml", flag, what, "RECORDS=1", "CHECKPOINTS=2", "ABORTS=1")


class Names(unittest.TestCase):
    """A model of code that has changed its names has perhaps not been read when it did."""

    OF_THE_MODEL = {"forget_pending", "check_cut", "check_commit", "rename_metadata"}  # checks, and what is several calls
    PLACES = ("base", "checkpoint", "runtime", "connectors", "state", "include")

    def test_steps_and_files_of_the_models_are_those_of_the_code(self):
        paths = [path for place in self.PLACES for path in pathlib.Path(HERE, "..", "..", place).rglob("*.[ch]")]
        words = {word for path in paths for word in re.findall(r"\w+", path.read_text())}
        for model in ("barrier.pml", "exactly_once.pml"):
            text = pathlib.Path(HERE, model).read_text()
            steps = set(re.findall(r"^inline (\w+)", text, re.MULTILINE))
            self.assertGreater(len(steps), 5)
            self.assertEqual(steps - self.OF_THE_MODEL - words, set(), model)
            notes = " ".join(re.findall(r"/\*.*?\*/", text, re.DOTALL))
            named = {word for word in re.findall(r"\w+", notes) if "_" in word and text.count(word) == notes.count(word)}
            tests = {path.stem for path in pathlib.Path(HERE, "..").rglob("*.p*")}
            self.assertEqual(named - words - tests, set(), model)
            files = set(re.findall(r"(\w+\.[ch])\b", text))
            self.assertEqual(files - {path.name for path in paths}, set(), model)


def bounds(workers, crashes, epochs, records=1, aborts=1):
    return (f"WORKERS={workers}", f"CRASHES={crashes}", f"EPOCHS={epochs}", f"RECORDS={records}", f"ABORTS={aborts}")


class ExactlyOnce(Model):
    def test_two_workers_survive_a_crash(self):
        self.right("exactly_once.pml", *bounds(2, 1, 1))

    def test_a_worker_survives_two_crashes(self):
        self.right("exactly_once.pml", *bounds(1, 2, 2 if LONG else 1, aborts=0))

    def test_checkpoints_that_are_given_up_lose_nothing(self):
        self.right("exactly_once.pml", *bounds(1, 1, 2, records=2))

    def test_each_broken_rule_is_noticed(self):
        meet, complete = "out[w]==chk[next].by[w].from", "covered[w]"
        for flag, what in (("PUBLISH_BEFORE_COMPLETE", complete), ("NOTIFY_BEFORE_RENAME", complete),
                           ("ACK_BEFORE_SNAPSHOT", complete), ("TOKEN_OUTSIDE_TRANSACTION", meet),
                           ("TOKEN_NOT_JUDGED", meet), ("NO_FENCING", "token_attempt[w]<=a"),
                           ("NO_OFFSET_CHECK", "token_attempt[w]<=a"), ("ABORT_DROPS_OUTPUT", "out[0]==1"),
                           ("NO_ATTEMPT_CHECK", "claimed!=a")):
            self.wrong("exactly_once.pml", flag, what, *bounds(1, 1, 2))


if __name__ == "__main__":
    unittest.main()
