"""The table of mutants is up to date, and the runner reads logs right: cheap, so in every run of the tests."""
import contextlib
import io
import os
import unittest
import unittest.mock

import run
import table

COUNT_MIN = 24


def read(path):
    with open(os.path.join(run.ROOT, path), encoding="utf-8") as file:
        return file.read()


class Table(unittest.TestCase):
    def test_every_row_applies_exactly_once(self):
        for row in table.MUTANTS:
            with self.subTest(row.name):
                self.assertEqual(read(row.file).count(row.old), 1)
                self.assertNotEqual(row.old, row.new)

    def test_every_row_names_a_test_that_there_is(self):
        for row in table.MUTANTS:
            with self.subTest(row.name):
                suite, name = row.test.partition(": ")[0].split()
                self.assertIn(suite, run.VARIANTS)
                self.assertTrue(read(f"test/{suite.removesuffix('-tsan')}/{name}.c"))

    def test_names_differ_and_there_are_enough(self):
        self.assertEqual(len({row.name for row in table.MUTANTS}), len(table.MUTANTS))
        self.assertGreaterEqual(len(table.MUTANTS), COUNT_MIN)
        self.assertEqual(sum(row.is_keyed for row in table.MUTANTS), 4)


# (log, exit code, what has failed first)
LOGS = [
    ("[ RUN      ] a\n[       OK ] a\n[  PASSED  ] 1 test(s).\n", 0, ""),
    ("ok seed 1\n", 0, ""),
    ("[ RUN      ] a\n[  ERROR   ] --- 1 != 2\n[  FAILED  ] a\n[ RUN      ] b\n[  FAILED  ] b\n", 2, "a: 1 != 2"),
    ("[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n==7==ERROR: AddressSanitizer: heap-use-after-free\n", 1,
     "b: ERROR: AddressSanitizer: heap-use-after-free"),
    ("[ RUN      ] a\nweir: assertion failed: x > 0 (f.c:1)\n", -6, "a: weir: assertion failed: x > 0 (f.c:1)"),
    ("ok seed 1\nnot ok seed 2: a row is lost\n", 1, "seed 2: a row is lost"),
    ("[ RUN      ] a\n", -11, "ends with SIGSEGV, in a"),
    ("", 3, "exit code 3"),
    ("[ RUN      ] a\n[  PASSED  ] 0 test(s).\n[  FAILED  ] 1 test(s), listed below:\n", 1, "exit code 1, in a"),
]


class Logs(unittest.TestCase):
    def test_the_first_failure_is_told(self):
        for log, code, expected in LOGS:
            with self.subTest(log):
                self.assertEqual(run.describe(log.splitlines(), code), expected)

    def test_a_test_is_a_program(self):
        self.assertEqual(run.program("unit state/model_test"), ("asan", "build/asan/unit/state/model_test"))
        self.assertEqual(run.program("unit-tsan base/queue_threads_test"),
                         ("tsan", "build/tsan/unit/base/queue_threads_test"))
        self.assertEqual(run.program("unit state/model_test: rocksdb*")[1], "build/asan/unit/state/model_test")
        self.assertEqual(run.program("sim sim_test"), ("faults", "build/faults/sim/sim_test"))


class Words(unittest.TestCase):
    def test_what_means_no_mutant_is_refused(self):
        for words, jobs, sentence in ((["no-such-mutant"], "2", "no mutant has 'no-such-mutant'"), (["--jobs", "0"], "2", "'0'"),
                                      (["--jobs", "x"], "2", "'x' is no whole number"), ([], "many", "'many'")):
            said = io.StringIO()
            with self.subTest(words), unittest.mock.patch.dict(os.environ, JOBS=jobs), \
                    contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as refused:
                run.parse(words)
            self.assertEqual(refused.exception.code, 2)
            self.assertIn(sentence, said.getvalue())

    def test_a_text_chooses_mutants(self):
        with unittest.mock.patch.dict(os.environ, T=""):
            self.assertEqual(len(run.parse([])[1]), len(table.MUTANTS))
            self.assertEqual({mutant.is_keyed for mutant in run.parse(["--keyed"])[1]}, {True})
        self.assertIn("retention", run.parse(["retention"])[1][0].file)


if __name__ == "__main__":
    unittest.main()
