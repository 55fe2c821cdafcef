"""What a person can get wrong with the tools of the tests: a clear sentence and a failure, never a silent other run.

What   WEIR_FAULT with an unknown step, a bad number or action, given to a program with fault points and to one
       without; seeds that are none; no Java; a call of preload/fail_call.c that is no rule; cells, calls and brokers that are
       none; programs that were not built.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import program  # noqa: E402
import test_fail_calls  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
FAULTS = program.BUILD / "faults" / "e2e" / "file_count"
SIMULATORS = program.BUILD / "asan" / "sim"
RULES = [
    ("publish:1:kill", "'publish', which does not exist", "<step>-before", "checkpoint-publish"),
    ("checkpoint-publish:1:kill", "'checkpoint-publish', which does not exist"),
    ("checkpoint-publish-before:0:kill", "point:nth:action", "nth is 1 or more"),
    ("checkpoint-publish-before:one:kill", "point:nth:action"),
    ("checkpoint-publish-before:99999999999999999999:kill", "point:nth:action"),
    ("checkpoint-publish-before:1:explode", "kill, error or stall-<ms>"),
    ("checkpoint-publish-before:1:stall-", "stall-<ms>"),
    ("trigger-send-before:1:error", "cannot return an error"),
    ("clean-after:1:kill,clean-after:2:kill", "two rules for the fault point 'clean-after'"),
]


class BadTools(unittest.TestCase):
    def run_it(self, argv, **environment):
        return subprocess.run([os.fspath(part) for part in argv], env={**os.environ, **environment}, timeout=60,
                              capture_output=True, text=True, check=False)

    def assert_refused(self, done, *words):
        self.assertNotEqual(done.returncode, 0, done.stderr)
        self.assertGreater(done.returncode, 0, "by a signal")
        self.assertNotIn("Traceback", done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def job(self, directory):
        return ["--in", directory, "--out", pathlib.Path(directory) / "out"]

    def test_a_rule_for_a_fault_that_cannot_be_is_refused_before_anything_runs(self):
        with tempfile.TemporaryDirectory() as directory:
            for rule, *words in RULES:
                with self.subTest(rule):
                    done = self.run_it([FAULTS, *self.job(directory)], WEIR_FAULT=rule)
                    self.assertEqual(done.returncode, program.EXIT["usage"], done.stderr)
                    self.assert_refused(done, "WEIR_FAULT" if "error" not in rule else "trigger-send", *words)
                    self.assertFalse((pathlib.Path(directory) / "out").exists())

    def test_whatever_a_program_with_fault_points_is_asked_it_refuses_a_rule_that_cannot_be(self):
        for name in ("weir", "weir-jobmanager", "weir-taskmanager", "userprofile"):
            for words in ([], ["list"], ["inspect", "."], ["--help"], ["--version"], ["plan"], ["nonesense"]):
                with self.subTest(f"{name} {words}"):
                    done = self.run_it([program.FAULT_BIN / name, *words], WEIR_FAULT="publish:1:kill")
                    self.assertEqual(done.returncode, program.EXIT["usage"], done.stderr)
                    self.assert_refused(done, *RULES[0][1:])

    def test_a_program_without_fault_points_refuses_a_fault(self):
        self.assert_refused(self.run_it([program.BIN / "weir", "list"], WEIR_FAULT="clean-before:1:kill"), "make faults")
        with tempfile.TemporaryDirectory() as directory:
            done = self.run_it([program.BUILD / "e2e" / "file_count", *self.job(directory)],
                               WEIR_FAULT="checkpoint-publish-before:1:kill")
            self.assertEqual(done.returncode, program.EXIT["usage"], done.stderr)
            self.assert_refused(done, "built without fault points", "make faults")

    def test_a_log_of_faults_that_cannot_be_read_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            done = self.run_it([FAULTS, *self.job(directory)], WEIR_FAULT="checkpoint-publish-before:1:kill",
                               WEIR_FAULT_LOG=directory)
            self.assert_refused(done, directory)

    def test_a_seed_that_is_none_is_refused(self):
        for seed in ("", "x", "-1", "0", "1.5", str(2**63)):
            with self.subTest(seed):
                done = self.run_it([sys.executable, "-c", "import seed"], WEIR_SEED=seed, PYTHONPATH=os.fspath(HERE))
                self.assert_refused(done, f"WEIR_SEED is '{seed}'", "a whole number from 1")

    def test_a_seed_of_the_simulator_that_is_none_is_refused(self):
        simulator = SIMULATORS / "sim_test"
        if not simulator.exists():
            self.skipTest("make sim builds it")
        for name in ("SIM_SEED", "SIM_SEEDS", "SIM_FIRST"):
            for seed in ("x", "-1", "0", "1x", str(2**64)):
                with self.subTest(f"{name}={seed}"):
                    done = self.run_it([simulator], **{name: seed})
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assert_refused(done, f"{name} is '{seed}'")

    def test_a_mutant_that_the_simulator_does_not_know_is_refused(self):
        for name, mutant, known in (("sim_test", "none-such", "lost-sync"), ("sim_test", "sent-twice", "early-position"),
                                    ("sim_kafka_test", "early-position", "sent-twice"),
                                    ("sim_cluster_test", "sent-twice", "forget-pending")):
            with self.subTest(f"{name} {mutant}"):
                if not (SIMULATORS / name).exists():
                    self.skipTest("make sim builds it")
                done = self.run_it([SIMULATORS / name], SIM_MUTANT=mutant)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assert_refused(done, f"SIM_MUTANT is '{mutant}'", known)

    def test_a_word_that_the_simulator_does_not_know_is_refused(self):
        simulator = SIMULATORS / "sim_test"
        if not simulator.exists():
            self.skipTest("make sim builds it")
        for word in ("--seed=17", "17", "-h"):
            with self.subTest(word):
                done = self.run_it([simulator, word])
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assert_refused(done, f"no option '{word}'", "--minimise", "SIM_SEED=17")
        self.assert_refused(self.run_it([simulator, "--minimise"]), "SIM_MINIMISE needs SIM_SEED")

    def test_without_java_it_is_said_what_to_install(self):
        with tempfile.TemporaryDirectory() as directory:
            done = self.run_it([sys.executable, HERE / "broker.py", "run", "--", "true"], PATH=directory)
            self.assert_refused(done, "java", "install default-jre-headless")
            suite = [sys.executable, "-m", "unittest", "test_kafka_source"]
            skipped = self.run_it(suite, PATH=directory, PYTHONPATH=os.fspath(HERE), CI="false")
            self.assertIn("SKIPPED: java", skipped.stderr)
            failed = self.run_it(suite, PATH=directory, PYTHONPATH=os.fspath(HERE), CI="true")
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn("install default-jre-headless", failed.stderr)

    def test_a_call_of_the_exhaustive_loop_that_is_none_is_refused(self):
        exhaustive = SIMULATORS / "exhaustive_test"
        if not exhaustive.exists():
            self.skipTest("make sim builds it")
        for wish in ("x", "0-fails", "0-fails:99999", "0-sink-open:1:error"):
            with self.subTest(wish):
                self.assert_refused(self.run_it([exhaustive], EXHAUSTIVE=wish), f"EXHAUSTIVE is '{wish}'", "0-fails:17")

    def test_a_wish_for_a_cell_or_a_call_that_is_none_is_refused(self):
        wishes = (("test_fault_matrix", "WEIR_FAULT_CELLS", "(", "no regular expression"),
                  ("test_fault_matrix", "WEIR_FAULT_CELLS", "none-such", "no cell is called so"),
                  ("test_fail_calls", "WEIR_FAIL_CALL", "fsync", "it is kind:n"),
                  ("test_fail_calls", "WEIR_FAIL_CALL", "sync:1", "a kind of fsync"),
                  ("test_fail_calls", "WEIR_FAIL_CALL", "fsync:0", "n from 1"),
                  ("test_fail_calls", "WEIR_FAIL_CALL", "fsync:99999", "there is no fsync 99999"))
        for suite, name, text, words in wishes:
            with self.subTest(f"{name}={text}"):
                done = self.run_it([sys.executable, "-m", "unittest", suite], PYTHONPATH=os.fspath(HERE), **{name: text})
                self.assertNotEqual(done.returncode, 0, done.stderr)
                self.assertIn(words, done.stderr)

    def test_a_broker_that_cannot_be_is_refused(self):
        broker.or_skip(broker.require_tools)
        for words, said in ((["--nodes", "99"], "--nodes"), (["--set", "a"], "'a' is no KEY=VALUE"),
                            (["--", "none-such"], "no command 'none-such'")):
            with self.subTest(words):
                self.assert_refused(self.run_it([sys.executable, HERE / "broker.py", "run", *words]), said)

    def test_programs_that_were_not_built_are_named(self):
        with tempfile.TemporaryDirectory() as directory:
            for suite in ("test_fault_matrix", "test_files", "test_cluster", "test_memory"):
                with self.subTest(suite):
                    done = self.run_it([sys.executable, "-m", "unittest", "-f", suite], PYTHONPATH=os.fspath(HERE),
                                       WEIR_BUILD_DIR=directory, WEIR_BIN=f"{directory}/bin")
                    self.assertNotEqual(done.returncode, 0, done.stderr)
                    self.assertRegex(done.stderr, f"{directory}/.* is missing: ")

    def test_a_rule_for_a_failing_call_that_is_none_ends_the_program(self):
        done = self.run_it(["true"], LD_PRELOAD=os.fspath(test_fail_calls.build()), FAIL_CALL="fsync")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("FAIL_CALL is 'fsync'", done.stderr)


if __name__ == "__main__":
    unittest.main()
