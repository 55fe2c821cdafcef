#!/usr/bin/env python3
"""What bench/flink makes of the runs of both sides: equal or void, ratios, a page. Nothing is measured here."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "flink"))
import cases  # noqa: E402
import compare  # noqa: E402
import report  # noqa: E402


def run_of(cpu_s, digest="d", rows=900):
    return {"events": 1_000_000, "warm": 0, "rows": rows, "digest": digest, "cpu_s": cpu_s, "wall_s": 2 * cpu_s,
            "first_ms": 10.0, "pause_ms": 1.0, "rss_mb": 20.0, "other_cpu": 0.0}


class Args:
    quick, pairs = True, 3


class Scripted(compare.Comparison):
    """Whose runs are made up."""

    def __init__(self, flink_runs):
        super().__init__(cases.stateless("source", (1, 1), (0, 0)), Args, True)
        self.order, self.flink_runs = "", iter(flink_runs)

    def run_weir(self, is_full_digest):
        self.order += "A"
        return run_of(0.5)

    def run_flink(self, variant, is_full_digest):
        self.order += "B"
        return next(self.flink_runs)


class ReportTest(unittest.TestCase):
    def rows_of(self, *flink_runs):
        comparison = Scripted(flink_runs)
        comparison.run()
        self.assertEqual(comparison.order, "ABBAAB")
        return comparison.rows()

    def page_of(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            results = report.Results(pathlib.Path(folder), {"quick": True, "pairs": 3}, True)
            results.add(rows)
            self.assertEqual(len(json.loads(pathlib.Path(folder, "RESULTS-FLINK.json").read_text())["rows"]), 1)
            self.assertIn("</svg>", pathlib.Path(folder, "RESULTS-FLINK.svg").read_text())
            return pathlib.Path(folder, "RESULTS-FLINK.md").read_text()

    def test_the_ratio_is_the_median_of_the_pairs_with_its_range(self):
        row, = self.rows_of(run_of(1.0), run_of(2.0), run_of(1.5))
        self.assertEqual((row["cpu_ratio"], row["wall_ratio"]), ([3.0, 2.0, 4.0], [3.0, 2.0, 4.0]))
        self.assertFalse(row["void"])
        self.assertIn("**3.00 (2.00-4.00)**", self.page_of([row]))

    def test_one_run_with_another_output_makes_the_case_void(self):
        for other in (run_of(1.0, digest="e"), run_of(1.0, rows=899)):
            row, = self.rows_of(run_of(1.0), other, run_of(1.0))
            self.assertTrue(row["void"])
            page = self.page_of([row])
            self.assertIn("void", page)
            self.assertNotIn("**2.00", page)

    def test_an_option_or_a_case_that_is_not_there_is_a_usage_error(self):
        for wrong in (("--only", "no-such-case"), ("--no-such-option",)):
            done = subprocess.run([sys.executable, ROOT / "bench/flink/compare.py", *wrong], capture_output=True, text=True,
                                  timeout=120, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage:", done.stderr)


if __name__ == "__main__":
    unittest.main()
