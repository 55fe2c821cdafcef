"""A job as bytes: `JOB plan ARGS... 3>file` tells a process without its code all that `JOB explain` tells.

What   The plans of real jobs, decoded by another program (tools/plan_explain.c), are explained in the same bytes as
       by the job itself. Mistakes end as with explain. Needs no broker.
How    Descriptor 3 is opened by a shell, as a person would.
"""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from program import BUILD, EXIT, ProgramTest  # noqa: E402

JOBS = {
    "wordcount": ("wordcount", "--input", "words.txt"),
    "files": ("userprofile", "--history", "in", "--output", "out", "--parallelism", "2"),
    "kafka": ("userprofile", "--brokers", "localhost:9092", "--fragments", "fragments", "--parallelism", "5"),
    "history and kafka": ("userprofile", "--history", "in", "--brokers", "localhost:9092", "--no-chaining",
                          "--dedupe-ttl", "1h"),
    "steady": ("steady", "--count", "10", "--output", "out"),
}


class Plan(ProgramTest):
    def plan(self, name, *options):
        """Result, and the file that descriptor 3 was."""
        path = self.directory / "job"
        path.unlink(missing_ok=True)
        shell = ("sh", "-c", 'out=$1; shift; exec "$@" 3>"$out"', "sh", path)
        return program.run(name, "plan", *options, before=shell, cwd=self.directory), path

    def test_another_program_explains_it_in_the_same_bytes(self):
        for title, (name, *options) in JOBS.items():
            result, path = self.plan(name, *options)
            self.assert_well(result)
            self.assertEqual((result.out, result.err), ("", ""))
            self.assertEqual(os.listdir(self.directory), ["job"])
            for form in ("text", "json", "dot"):
                with self.subTest(job=title, form=form):
                    said = subprocess.run([BUILD / "e2e" / "plan_explain", form, path], capture_output=True,
                                          text=True, timeout=60, check=True)
                    itself = program.run(name, "explain", "--as", form, *options, cwd=self.directory)
                    self.assert_well(itself)
                    self.assertEqual(said.stdout, itself.out)

    def test_mistakes_end_as_they_do_for_explain(self):
        for status, (name, *options) in ((EXIT["usage"], ("userprofile", "--nonsense")),
                                         (EXIT["plan"], ("bad_graph",))):
            with self.subTest(name=name):
                result, path = self.plan(name, *options)
                itself = program.run(name, "explain", *options, cwd=self.directory)
                self.assert_ended(result, status)
                self.assertEqual((result.status, result.err), (itself.status, itself.err))
                self.assertEqual(path.read_bytes(), b"")

    def test_nobody_who_listens_is_a_mistake_of_usage(self):
        result = program.run("wordcount", "plan", before=("sh", "-c", 'exec "$@" 3>&-', "sh"))
        self.assert_refused(result, EXIT["usage"], "descriptor 3")


if __name__ == "__main__":
    unittest.main()
