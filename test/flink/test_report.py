#!/usr/bin/env python3
"""What bench/flink makes of the runs of both sides: equal or void, ratios, goals, a page. Nothing is measured here."""
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "flink"))
import compare  # noqa: E402
import recovery  # noqa: E402
import report  # noqa: E402
import throughput  # noqa: E402
import turns  # noqa: E402

MODES = (turns.FULL, turns.QUICK)


def run_of(cpu_s, digest="d", rows=900):
    return {"events": 1_000_000, "warm": 0, "rows": rows, "digest": digest, "cpu_s": cpu_s, "wall_s": 2 * cpu_s,
            "first_ms": 10.0, "pause_ms": 1.0, "rss_mb": 20.0, "other_cpu": 0.0}


class Scripted(throughput.Throughput):
    """Whose runs are made up."""

    def __init__(self, flink_runs, name="generator", variant="DataStream"):
        super().__init__(name, (name,), (1, 0), {}, {variant: ((), {})}, seconds=1, pairs=3)
        self.is_sampled = False
        self.order, self.flink_runs = "", iter(flink_runs)

    def run_weir(self, is_full_digest, share=1):
        self.order += "A"
        return run_of(0.5)

    def run_flink(self, variant, is_full_digest, share=1):
        self.order += "B"
        return next(self.flink_runs)


def rows_of(*flink_runs, **more):
    return Scripted(flink_runs, **more).run(True)


def latency_run(p99_ms):
    return {key: 1.0 for key in turns.LATENCY_KEYS} | {"p99_ms": p99_ms}


class ReportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def results(self, mode="full"):
        return report.Results(self.folder, mode, [case.name for case in compare.cases(turns.FULL)])

    def page(self):
        self.assertIn("</svg>", (self.folder / "RESULTS-FLINK.svg").read_text())
        return (self.folder / "RESULTS-FLINK.md").read_text()

    def page_of(self, rows):
        self.results().put(rows[0]["case"], rows, 60)
        return self.page()

    def test_sides_run_in_turn_and_the_ratio_is_the_median_of_the_pairs_with_its_range(self):
        case = Scripted([run_of(1.0), run_of(2.0), run_of(1.5)])
        row, = case.run(True)
        self.assertEqual(case.order, "ABBAAB")
        self.assertEqual((row["cpu_ratio"], row["wall_ratio"]), ([3.0, 2.0, 4.0], [3.0, 2.0, 4.0]))
        self.assertFalse(row["void"])
        self.assertIn("**3.00 (2.00-4.00)**", self.page_of([row]))

    def test_one_run_with_another_output_makes_the_case_void(self):
        for other in (run_of(1.0, digest="e"), run_of(1.0, rows=899)):
            row, = rows_of(run_of(1.0), other, run_of(1.0))
            self.assertTrue(row["void"])
            page = self.page_of([row])
            self.assertIn("void", page)
            self.assertNotIn("**2.00", page)

    def test_a_case_replaces_its_own_rows_and_no_others_in_the_order_of_the_page(self):
        self.results().put("q0", rows_of(*[run_of(1.0)] * 3, name="q0"), 60)
        self.results("quick").put("generator", rows_of(*[run_of(1.0)] * 3), 60)
        self.results().put("q0", rows_of(*[run_of(2.0)] * 3, name="q0"), 60)
        rows = json.loads((self.folder / "RESULTS-FLINK.json").read_text())["rows"]
        self.assertEqual([(row["case"], row["cpu_ratio"][0], row["measured"]["mode"]) for row in rows],
                         [("generator", 2.0, "quick"), ("q0", 4.0, "full")])
        page = self.page()
        self.assertRegex(page, r"Measured .* \(full; 1 minutes\): q0\.")
        self.assertRegex(page, r"Measured .* \(quick: .*; 1 minutes\): generator\.")

    def test_a_resumed_run_leaves_out_what_this_commit_has_in_this_mode_unless_it_is_void(self):
        self.results().put("q0", rows_of(*[run_of(1.0)] * 3, name="q0"), 60)
        self.results().put("q1", rows_of(run_of(1.0), run_of(1.0, rows=1), run_of(1.0), name="q1"), 60)
        self.assertEqual([self.results().has(name) for name in ("q0", "q1", "q2")], [True, False, False])
        self.assertFalse(self.results("quick").has("q0"))
        self.assertEqual((self.results().seconds("q0"), self.results("quick").seconds("q0")), (60, 0))

    def test_a_goal_that_is_missed_is_told_with_its_least_and_what_bounds_it(self):
        goal = next(goal for goal in report.goals() if goal.metric == "cpu" and "SQL" in goal.name)
        short = rows_of(*[run_of(1.0)] * 3, name="q0", variant="SQL")  # twice as good, 4 are wanted
        page = self.page_of(short)
        self.assertIn(f"| {goal.name} | {goal.least} | 2.00 (q0 : SQL) | short in 1 of 1 |", page)
        self.assertIn(goal.remark, page)
        page = self.page_of(rows_of(*[run_of(3.0)] * 3, name="q0", variant="SQL"))
        self.assertIn(f"| {goal.name} | {goal.least} | 6.00 (q0 : SQL) | ok |", page)
        self.assertNotIn(goal.remark, page)

    def test_what_a_query_needs_above_the_generator_is_compared_without_it(self):
        generator, = rows_of(*[run_of(0.6)] * 3)
        query, = rows_of(*[run_of(1.0)] * 3, name="q0")
        self.assertEqual(report.above_generator(query, [generator, query])[0], math.inf)  # Weir's half takes 0.5 s in both
        same, = rows_of(*[run_of(0.6)] * 3, name="q0")
        self.assertIsNone(report.above_generator(same, [generator, same]))
        generator["weir"]["per_cpu_s"] = [1e6 / 0.3, 1e6 / 0.4, 1e6 / 0.3]
        for found, expected in zip(report.above_generator(query, [generator, query]), (0.4 / 0.2, 0.4 / 0.2, 0.4 / 0.1)):
            self.assertAlmostEqual(found, expected)
        self.assertEqual(report.above_generator(same, [generator, same])[0], 0)  # Flink's half takes no more than the generator

    def test_what_is_void_is_told_at_its_goal(self):
        goal = next(goal for goal in report.goals() if goal.metric == "cpu" and "SQL" in goal.name)
        void = rows_of(*[run_of(3.0, digest="other")] * 3, name="q0", variant="SQL")
        self.assertIn(f"| {goal.name} | {goal.least} | not measured | 1 void |", self.page_of(void))
        both = void + rows_of(*[run_of(3.0)] * 3, name="q1", variant="SQL")
        self.assertIn(f"| {goal.name} | {goal.least} | 6.00 (q1 : SQL) | ok, 1 void |", self.page_of(both))

    def test_each_goal_is_about_a_case_that_there_is(self):
        names = [case.name for case in compare.cases(turns.FULL)]
        for goal in report.goals():
            self.assertTrue(any(report.re.fullmatch(goal.case, name) for name in names), goal)
            self.assertGreater(float(goal.least), 0)

    def test_other_kinds_have_tables_of_their_own_and_a_failure_is_told(self):
        results = self.results()
        case = compare.cases(turns.FULL)[0]
        results.put("latency with state, heap", [turns.latency_row(
            "latency with state, heap", "1 GB", [latency_run(2.0)], [latency_run(8.0)], False)], 60)
        results.put("recovery", [{"case": "recovery", "variant": "tuned, 1 GB", "kind": "recovery", "void": False, "pairs": 1,
                                  "weir": {"ms": [200.0] * 3, "worker_ms": [100.0] * 3}, "flink": {"ms": [4000.0] * 3},
                                  "ratio": [20.0] * 3}], 60)
        results.put(case.name, [compare.failed(case, sides_failure())], 60)
        page = self.page()
        self.assertIn("| 2.00/8.00 |", page)
        self.assertIn("**4.00**", page)
        self.assertIn("| recovery, against tuned Flink | 10 | 20.0 (recovery : tuned, 1 GB) | ok |", page)
        self.assertIn(f"- {case.name}: it broke", page)

    def test_a_quick_comparison_has_no_case_that_the_full_one_lacks_and_no_name_is_there_twice(self):
        full, quick = ([case.name for case in compare.cases(mode)] for mode in MODES)
        self.assertLessEqual(set(quick), set(full))
        for names in (full, quick):
            self.assertEqual(len(names), len(set(names)))

    def test_the_comparison_fits_into_seventy_minutes_and_a_quick_one_into_fifteen(self):
        full, quick = (sum(case.seconds for case in compare.cases(mode)) for mode in MODES)
        self.assertLessEqual(full, 70 * 60)
        self.assertLessEqual(quick, 15 * 60)

    def test_an_option_or_a_case_that_is_not_there_is_a_usage_error(self):
        for wrong in (("--only", "no-such-case"), ("--no-such-option",), ("--pairs", "0"), ("--pairs", "-1"), ("--pairs", "x")):
            done = self.compare(*wrong)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("usage:", done.stderr)

    def compare(self, *arguments, **more):
        return subprocess.run([sys.executable, ROOT / "bench/flink/compare.py", *arguments], capture_output=True, text=True,
                              timeout=120, check=False, **more)

    def test_results_that_are_damaged_are_named_and_left_alone(self):
        path = self.folder / "RESULTS-FLINK.json"
        for damage in ("{", "[]", "{}", '{"rows": [{"case": "q0", "measured": {}}]}'):
            path.write_text(damage)
            done = self.compare("--list", "--out", self.folder)
            self.assertEqual(done.returncode, 1, damage)
            self.assertRegex(done.stderr, rf"^{re.escape(str(path))} is not what a comparison has written .*: restore it")
            self.assertEqual(path.read_text(), damage)

    def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(self):
        (self.folder / "file").write_text("")
        done = self.compare("--only", "q22", "--out", self.folder / "file")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^no results can be kept in \S+/file: .*; choose another one")

    def test_without_java_a_case_that_needs_a_broker_is_not_run_and_said_so(self):
        done = self.compare("--only", "copy", "--out", self.folder, env={"PATH": str(self.folder)})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("java and javac and mvn not found", done.stderr)
        self.assertIn("no case is left", done.stderr)


def sides_failure():
    return compare.sides.RunFailed("it\nbroke")


class RecoveryTest(unittest.TestCase):
    def test_a_line_that_is_half_written_does_not_count(self):
        with tempfile.TemporaryDirectory() as folder:
            watched = recovery.Watched(pathlib.Path(folder))
            self.assertEqual(watched.lines("first"), [])
            watched.told.write_text("first 17 5 0 right\nfilled 17 6 9 right\nfirst 1")
            self.assertEqual(watched.lines("first"), [("first", "17", "5", "0", "right")])
            self.assertEqual(watched.pid(), 17)


if __name__ == "__main__":
    unittest.main()
