"""The judges of the end-to-end tests go red: each kind of damage is planted in a good output, and must be seen.

What   program.check_steady judges the clusters' tests. The judges of files, of topics and of the fault matrix have
       such tests of their own (test_files.py, test/oracle/test_verify.py, test_fault_matrix.py); ../README.md has the
       list.
"""

import json
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402

COUNT, KEYS = 300, 97


class SteadyJudge(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.output = pathlib.Path(directory.name)
        records = [{"index": index, "key": index % KEYS, "nth": index // KEYS + 1} for index in range(COUNT)]
        self.parts = [records[:150], records[150:]]
        self.write()

    def write(self):
        for number, records in enumerate(self.parts):
            text = "".join(json.dumps(record) + "\n" for record in records)
            (self.output / f"part-{number}.ndjson").write_text(text)

    def assert_red(self, words):
        self.write()
        with self.assertRaisesRegex(AssertionError, words):
            program.check_steady(self.output, COUNT)

    def test_a_good_output_is_green(self):
        self.assertEqual(program.check_steady(self.output, COUNT), COUNT)

    def test_a_lost_record_is_red(self):
        del self.parts[1][-1]
        self.assert_red("299 of 300")

    def test_a_record_that_was_counted_and_then_lost_is_red(self):
        del self.parts[0][10]
        self.assert_red("not counted right")

    def test_a_duplicate_is_red(self):
        self.parts[1].append(dict(self.parts[1][-1], nth=9))
        self.assert_red("1 of 301 records are there twice")

    def test_an_order_that_has_changed_is_red(self):
        self.parts[1].reverse()
        self.assert_red("out of order")

    def test_a_count_of_stale_state_is_red(self):
        self.parts[1][-1]["nth"] -= 1  # state of an older checkpoint was read
        self.assert_red("out of order|not counted right")

    def test_a_torn_file_is_red(self):
        self.write()
        path = self.output / "part-1.ndjson"
        path.write_text(path.read_text()[:-10])
        with self.assertRaisesRegex(AssertionError, "is torn"):
            program.check_steady(self.output, COUNT)


if __name__ == "__main__":
    unittest.main()
