"""The verdicts of tools/guard.py: what is too far away in either direction, or not written down, is a failure."""
import contextlib
import io
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import guard  # noqa: E402


class GuardTest(unittest.TestCase):
    def verdict(self, count, before):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            is_bad = guard.check({"hop": count}, {} if before is None else {"hop": before})
        self.assertTrue(said.getvalue().startswith("not ok hop: " if is_bad else "ok hop: "), said.getvalue())
        return is_bad

    def test_a_count_within_two_percent_is_well_and_others_are_not(self):
        for count, is_bad in ((100.0, False), (101.9, False), (98.1, False), (102.1, True), (97.9, True)):
            self.assertEqual(self.verdict(count, 100.0), is_bad, count)

    def test_a_path_that_is_not_written_down_is_a_failure(self):
        self.assertTrue(self.verdict(100.0, None))

    def test_every_path_is_written_down(self):
        self.assertEqual(set(guard.written()), set(guard.PATHS))


if __name__ == "__main__":
    unittest.main()
