"""The counts of tools/run_tests.py: a suite that lies about its failures is worse than none."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.insert(0, TOOLS)
import run_tests  # noqa: E402

CMOCKA = "[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n"
UNITTEST = "Ran 5 tests in 0.001s\n\n"

# (output, exit code, (passed, failed, skipped))
COUNTS = [
    ("", 0, (1, 0, 0)),
    ("", 1, (0, 1, 0)),
    (CMOCKA + "[  PASSED  ] 3 test(s).\n", 0, (3, 0, 0)),
    (CMOCKA + "[  PASSED  ] 2 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n", 0, (2, 0, 1)),
    (CMOCKA + "[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] b\n", 1,
     (2, 1, 0)),
    (CMOCKA + "[  PASSED  ] 3 test(s).\nLeakSanitizer: detected memory leaks\n", 1, (3, 1, 0)),
    (CMOCKA, 0, (0, 1, 0)),
    (CMOCKA, -11, (0, 1, 0)),
    (UNITTEST + "OK\n", 0, (5, 0, 0)),
    (UNITTEST + "OK (skipped=2)\n", 0, (3, 0, 2)),
    (UNITTEST + "FAILED (failures=1, errors=1, skipped=1)\n", 1, (2, 2, 1)),
    ("ok a\nnot ok b\nskip c\n", 0, (1, 1, 1)),
]


def run_all(*words):
    """(exit code, lines) of run_tests.py in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, os.path.join(TOOLS, "run_tests.py"), *words], cwd=folder,
                              stdout=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


def run(*words):
    """(exit code, last line)"""
    code, lines = run_all(*words)
    return code, lines[-1]


class RunTests(unittest.TestCase):
    def test_counts_are_read_from_the_output(self):
        for text, code, expected in COUNTS:
            with self.subTest(text=text, code=code):
                self.assertEqual(run_tests.count(text, code), expected)

    def test_what_failed_is_named_before_the_end_of_a_long_log(self):
        says = r"FAIL: test_b (x.Y)\nTraceback\nAssertionError: 1 is not 2\n"
        code, lines = run_all("run", "x", shlex.join(["bash", "-c", f'printf "{says}"; seq 99; exit 1']))
        self.assertEqual(code, 1)
        self.assertEqual(lines[1:3], ["    FAIL: test_b (x.Y)", "    AssertionError: 1 is not 2"])
        self.assertTrue(lines[-2].startswith("    repeat: bash -c"), lines[-2])

    def test_what_hangs_is_stopped_and_has_failed(self):
        code, line = run("run", "x", "--timeout", "0.3", "bash -c 'sleep 50'")
        self.assertEqual(code, 1)
        self.assertRegex(line, r"^x: 0 passed, 1 failed, 0 skipped")

    def test_what_cannot_be_started_has_failed(self):
        code, line = run("run", "x", "./nothing", "true")
        self.assertEqual(code, 1)
        self.assertRegex(line, r"^x: 1 passed, 1 failed, 0 skipped")

    def test_too_few_kills_are_one_failure(self):
        kill = "bash -c 'echo job >> $WEIR_KILLS; echo worker >> $WEIR_KILLS'"
        for wanted, is_long, end in ((2, "", (0, "1 passed, 0 failed")), (3, "", (1, "1 passed, 1 failed")),
                                     (1, "1", (1, "1 passed, 1 failed"))):
            with unittest.mock.patch.dict(os.environ, WEIR_TEST_LONG=is_long):
                code, line = run("run", "x", "--kills", str(wanted), kill)
            self.assertEqual(code, end[0], line)
            self.assertIn(end[1], line)
        code, line = run("run", "x", "--kills", "1", "true")  # nobody counts
        self.assertEqual(code, 1, line)

    def test_the_long_run_takes_what_has_a_longer_form(self):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in (("test_a.py", "LONG = os.environ.get('WEIR_TEST_LONG')"), ("test_b.py", "pass")):
                pathlib.Path(directory, name).write_text(text)
            arguments = run_tests.parse(["run", "x", "--unittest", directory, "true"])
            for is_long, names in (("", ["true", "test_a.py", "test_b.py"]), ("1", ["true", "test_a.py"])):
                with unittest.mock.patch.dict(os.environ, WEIR_TEST_LONG=is_long):
                    self.assertEqual([os.path.basename(name) for name, _ in run_tests.programs(arguments)], names)

    def test_no_tests_are_no_failure_unless_some_were_asked_for(self):
        for text, expected in (("", 0), ("queu", 1)):
            with unittest.mock.patch.dict(os.environ, T=text):
                code, line = run("run", "x")
            self.assertEqual(code, expected, line)
            self.assertIn("there are no such tests", line)
            self.assertEqual("T=queu" in line, bool(text))

    def test_jobs_that_are_no_number_are_refused(self):
        with unittest.mock.patch.dict(os.environ, JOBS="many"):
            done = subprocess.run([sys.executable, os.path.join(TOOLS, "run_tests.py"), "run", "x"], capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("invalid int value: 'many'", done.stderr)

    def test_seeds_and_kills_are_in_the_line_of_their_suite_and_in_the_summary(self):
        says = r"echo job >> $WEIR_KILLS; printf 'ok seed 1: a\nnot ok seed 2: b\nok mutant c\n'"
        words = shlex.join(["run", "x", shlex.join(["bash", "-c", says])])
        with tempfile.TemporaryDirectory() as folder:
            tool = os.path.abspath(os.path.join(TOOLS, "run_tests.py"))
            pathlib.Path(folder, "Makefile").write_text(f"x:\n\t{sys.executable} {tool} {words.replace('$', '$$')}\n")
            done = subprocess.run([sys.executable, tool, "suites", "x"], cwd=folder, capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        self.assertRegex(done.stdout, r"(?m)^x: 2 passed, 1 failed, 0 skipped, .* s, 2 seeds, 1 processes killed or frozen$")
        self.assertRegex(lines[-2], r"2 passed, 1 failed, 0 skipped, 2 seeds, 1 processes killed or frozen$")
        self.assertEqual(lines[-1], "2 passed, 1 failed, 0 skipped")

    def test_a_suite_that_cannot_be_built_has_failed(self):
        self.assertEqual(run("suites", "x", "y"), (1, "0 passed, 2 failed, 0 skipped"))

    def test_long_suites_begin_with_their_plan_and_all_end_with_a_line_for_each(self):
        for is_long in ("", "1"):
            with unittest.mock.patch.dict(os.environ, WEIR_TEST_LONG=is_long):
                code, lines = run_all("suites", "sim", "y")
            self.assertEqual(code, 1)
            self.assertEqual(re.match(r"2 parts, about \d+ h \d+ min", lines[0]) is not None, is_long == "1", lines)
            if is_long:
                self.assertRegex(lines[1], r"^  sim +\d+ min")
                self.assertRegex(lines[2], r"^  y +\? min")
            self.assertEqual(lines[-4], "---- summary")
            self.assertRegex(lines[-3], r"^  sim +0.\d min  FAILED 0 passed, 1 failed, 0 skipped")

    def test_every_long_suite_has_its_time(self):
        makefile = pathlib.Path(TOOLS, "..", "Makefile").read_text()
        suites = re.search(r"^LONG_SUITES := (.*)$", makefile, re.MULTILINE).group(1).split()
        self.assertEqual(set(run_tests.LONG_MINUTES), set(suites))


if __name__ == "__main__":
    unittest.main()
