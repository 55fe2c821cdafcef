"""`JOB run --cluster`: the program becomes `weir run`, with itself as the job. Here `weir` is a script that tells
what it was asked; test_verbs.py has the real one, and a cluster."""
import os
import shutil
import subprocess
import tempfile
import unittest

BIN = os.environ.get("WEIR_BIN", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "bin"))


class Submit(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.job = shutil.copy(os.path.join(BIN, "wordcount"), self.dir)

    def write_weir(self, text):
        path = os.path.join(self.dir, "weir")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o700)

    def run_job(self, *arguments, path=os.environ["PATH"]):
        return subprocess.run([self.job, *arguments], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": path})

    def test_the_command_beside_it_gets_the_program_and_its_arguments(self):
        self.write_weir('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
        for arguments in (["run", "--input", "a b", "--cluster", "localhost:1", "--parallelism", "2"],
                          ["--input", "a b", "--cluster=localhost:1", "--parallelism", "2"]):
            done = self.run_job(*arguments)
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertEqual(done.stdout.splitlines(),
                             ["run", "-m", "localhost:1", self.job, "--input", "a b", "--parallelism", "2"])

    def test_what_is_wrong_with_the_job_is_said_before_anything_is_asked(self):
        self.write_weir("#!/bin/sh\necho asked\n")
        done = self.run_job("--cluster", "localhost:1", "--colour", "blue")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--colour", done.stderr)

    def test_without_the_command_it_says_what_is_missing(self):
        done = self.run_job("--input", "x", "--cluster", "localhost:1", path=self.dir)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--cluster needs the command weir", done.stderr)


if __name__ == "__main__":
    unittest.main()
