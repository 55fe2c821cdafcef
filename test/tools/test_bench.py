"""tools/bench.py: what programs print is kept, a part at a time, and the page tells when and where it was measured."""
import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import bench  # noqa: E402


def script(path, *lines, status=0):
    path.write_text("#!/bin/sh\n" + "".join(f"printf '{line}\\n'\n" for line in lines) + f"exit {status}\n")
    path.chmod(0o755)


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ("build/bin", "bench"):
            (self.root / name).mkdir(parents=True)
        (self.root / "bench/page.md").write_text("{measured}\n\n{results}\n")
        for patch in (mock.patch.object(bench, "ROOT", self.root), mock.patch.object(bench.host_memory, "take")):
            patch.start()
            self.addCleanup(patch.stop)

    def program(self, name, *lines, status=0):
        script(self.root / "build/bin" / f"bench_{name}", *lines, status=status)

    def run_bench(self, *arguments):
        """What it returns: None, or what failed."""
        argv = ["bench.py", "--out", str(self.root / "bench"), *arguments]
        with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(io.StringIO()):
            return bench.main()

    def rows(self):
        return {row["name"]: row["value"] for row in bench.read(self.root / "bench/RESULTS.tsv")}

    def page(self):
        return (self.root / "bench/RESULTS.md").read_text()

    def test_lines_of_five_fields_are_kept_and_all_others_are_remarks(self):
        self.program("hop", "a remark", r"hop\t36535088\trecords/s\t10000000\tok", r"three\tfields\tonly")
        self.assertIsNone(self.run_bench())
        self.assertEqual(self.rows(), {"hop": "36535088"})
        self.assertIn("| hop | 36,535,088 records/s | 10,000,000 | ok | `hop` |", self.page())

    def test_a_part_replaces_its_rows_where_they_were_and_leaves_the_others(self):
        self.program("chain", r"chain\t58.91\tM/s\t50\tok", r"gone the next time\t1\tns\t-\t-")
        self.program("hop", r"hop\t1\tns\t2\tok")
        self.assertIsNone(self.run_bench())
        self.program("chain", r"chain\t40\tM/s\t50\tshort")
        self.program("hop", r"hop\t9\tns\t2\tshort")
        self.assertIsNone(self.run_bench("--only", "chain"))
        self.assertEqual(list(self.rows().items()), [("chain", "40"), ("hop", "1")])

    def test_a_program_that_fails_is_named_and_keeps_what_it_had(self):
        self.program("hop", r"hop\t1\tns\t2\tok")
        self.program("later", r"later\t1\tns\t2\tok")
        self.assertIsNone(self.run_bench())
        self.program("hop", r"hop\t5\tns\t2\tshort", status=3)
        self.program("later", r"later\t2\tns\t2\tok")
        self.assertEqual(self.run_bench(), "failed: hop")
        self.assertEqual(self.rows(), {"hop": "1", "later": "2"})

    def test_what_has_no_goal_is_kept_but_not_on_the_page(self):
        self.program("hop", r"hop\t1\tns\t-\t-")
        self.assertIsNone(self.run_bench())
        self.assertEqual(self.rows(), {"hop": "1"})
        self.assertNotIn("| hop |", self.page())

    def test_the_page_tells_machine_day_and_commit_of_each_part(self):
        self.program("hop", r"hop\t1\tns\t2\tok")
        with mock.patch.object(bench.where, "machine", lambda: "2 x quick"), mock.patch.object(bench.where, "commit", lambda: "abc"):
            self.assertIsNone(self.run_bench())
        self.assertRegex(self.page(), r"(?m)^- 2 x quick, \d{4}-\d\d-\d\d, commit abc: hop$")

    def test_a_name_that_no_program_has_is_a_mistake_and_lists_them(self):
        self.program("hop")
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            self.run_bench("--only", "skip")
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("no benchmark has 'skip' in its name: hop", said.getvalue())

    def test_modules_that_cannot_be_run_are_no_benchmarks(self):
        (self.root / "bench/where.py").write_text("")
        script(self.root / "bench/cluster.py", r"idle\t1\t%%\t2\tok")
        self.assertEqual(list(bench.programs("")), ["cluster"])

    def test_the_page_in_the_tree_is_that_of_the_rows_in_the_tree(self):
        with mock.patch.object(bench, "ROOT", ROOT):
            self.assertEqual((ROOT / "bench/RESULTS.md").read_text(), bench.page(bench.read(ROOT / "bench/RESULTS.tsv")))


if __name__ == "__main__":
    unittest.main()
