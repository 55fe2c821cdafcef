"""The main job on files: the same result, byte for byte, however it is run.

What   A few thousand generated events, with changing owners, shared ids, duplicates and bad lines, go through
       userprofile under every setting that must not matter: parallelism, batch size, chaining, backend,
       emission interval, the order and the number of files, kills and restores. The oracle says what must come out.
How    Expectations are computed once per input; verify.py compares latest profiles, fragments, dead
       letters and exact counters. Kills wait for a line in the log, never for time. No broker is needed.
"""

import gzip
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import kills

ROOT = pathlib.Path(os.environ.get("WEIR_ROOT", pathlib.Path(__file__).resolve().parents[2]))
JOB = ROOT / "build/bin/userprofile"
IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
COUNT = 100_000 if IS_LONG else 5_000
LIMIT_S = 120


def tool(*argv):
    return subprocess.run([sys.executable, *map(os.fspath, argv)], cwd=ROOT, capture_output=True, text=True,
                          timeout=LIMIT_S * 5, check=False)


def run_job(*argv, directory):
    """Runs the job to its end; its log is in the directory."""
    with open(directory / "job.log", "ab") as log:
        return subprocess.run([JOB, "run", *map(os.fspath, argv)], stdout=log, stderr=log, timeout=LIMIT_S,
                              check=False).returncode


def wait_for(log, text, process):
    """Until the log says it, or the job has ended."""
    deadline = time.monotonic() + LIMIT_S
    while text not in log.read_bytes() and process.poll() is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{log} does not say {text!r}")
        time.sleep(0.005)


class Property(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="userprofile-"))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.input = cls.root / "in"
        done = tool("tools/generate_events.py", "--seed", "11", "--users", "400", "--count", str(COUNT), "--bad-rate",
                    "0.03", "--duplicate-rate", "0.05", "--files", "5", "--out", cls.input)
        assert done.returncode == 0, done.stderr
        cls.expected = cls.expect(cls.input, "expected", 3)

    @classmethod
    def expect(cls, directory, name, limit):
        done = tool("test/oracle/userprofile.py", "--history", directory, "--id-fanout-limit", str(limit),
                    "--write", cls.root / name)
        assert done.returncode == 0, done.stderr
        return cls.root / name

    def setUp(self):
        self.directory = self.root / self._testMethodName
        self.directory.mkdir()

    def arguments(self, directory, *more, limit=3, history=None):
        return ["--history", history or self.input, "--output", directory / "out", "--fragments", "fragments",
                "--id-fanout-limit", str(limit), "--metrics-json", directory / "metrics.json", *more]

    def assert_exact(self, directory, expected=None):
        done = tool("test/oracle/verify.py", "--expected", expected or self.expected, "--output", directory / "out",
                    "--check-fragments", "--metrics", directory / "metrics.json")
        log = (directory / "job.log").read_text(errors="replace")[-2000:]
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}\n{log}")

    def assert_runs(self, *more, **options):
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        status = run_job(*self.arguments(directory, *more, **options), directory=directory)
        self.assertEqual(status, 0, (directory / "job.log").read_text(errors="replace")[-2000:])
        return directory

    def test_no_setting_of_the_engine_changes_the_result(self):
        settings = [["--parallelism", str(n), "--state-backend", backend]
                    for n in (1, 2, 3, 4) for backend in ("hashmap", "rocksdb")]
        settings += [["--batch-size", "1"], ["--batch-size", "7", "--parallelism", "2"],
                     ["--no-chaining"], ["--no-chaining", "--parallelism", "3", "--batch-size", "3"],
                     ["--emit-interval", "1ms"], ["--emit-interval", "1ms", "--parallelism", "2"],
                     ["--emit-interval", "1h"], ["--max-parallelism", "4", "--parallelism", "4"],
                     ["--buffer-timeout", "1ms", "--checkpoint-interval", "20ms", "--min-pause", "1ms"]]
        for setting in settings:
            with self.subTest(setting=" ".join(setting)):
                self.assert_exact(self.assert_runs(*setting))

    def test_the_order_of_the_events_does_not_matter(self):
        lines = []
        for path in sorted(self.input.iterdir()):
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rb") as file:
                lines += file.read().removesuffix(b"\n").split(b"\n")
        for seed in range(3):
            random.Random(seed).shuffle(lines)
            shuffled = self.directory / f"in-{seed}"
            shuffled.mkdir()
            cut = len(lines) // 3
            (shuffled / "a").write_bytes(b"\n".join(lines[:cut]) + b"\n")
            (shuffled / "b").write_bytes(b"\n".join(lines[cut:]) + b"\n")
            expected = self.expect(shuffled, f"expected-{seed}", 3)
            with self.subTest(seed=seed):
                # Another order is another offset in dead letters, but the same profiles and fragments.
                for name in ("profiles.ndjson", "fragments.ndjson", "metrics.json"):
                    self.assertEqual((expected / name).read_bytes(), (self.expected / name).read_bytes())
                self.assert_exact(self.assert_runs("--parallelism", "2", history=shuffled), expected)

    def test_any_fan_out_limit_is_kept(self):
        for limit in (1, 2, 64):
            with self.subTest(limit=limit):
                expected = self.expect(self.input, f"expected-limit-{limit}", limit)
                self.assert_exact(self.assert_runs("--parallelism", "2", limit=limit), expected)

    def start(self, arguments, log):
        with open(log, "wb") as out:
            return subprocess.Popen([JOB, "run", *map(os.fspath, arguments)], stdout=out, stderr=out)

    def big_input(self):
        """Enough that a job is killed in the middle of it."""
        big = self.directory / "in"
        done = tool("tools/generate_events.py", "--seed", "12", "--users", "2000", "--count", "120000", "--files", "8",
                    "--out", big)
        self.assertEqual(done.returncode, 0, done.stderr)
        return big

    def test_killed_and_resumed_with_another_parallelism_it_is_still_exact(self):
        big = self.big_input()
        expected = self.expect(big, "expected-big", 3)
        directory = self.directory / "run"
        directory.mkdir()
        killed = 0
        for number in range(12):
            arguments = self.arguments(directory, "--checkpoints", directory / "checkpoints", "--checkpoint-interval",
                                       "60ms", "--min-pause", "10ms", "--emit-interval", "30ms", "--parallelism",
                                       str(1 + number % 3), history=big)
            log = directory / f"job-{number}.log"
            process = self.start(arguments, log)
            try:
                wait_for(log, b" completed in ", process)
            finally:
                process.send_signal(signal.SIGTERM if number % 4 == 3 else signal.SIGKILL)
                status = process.wait(LIMIT_S)
            if status != 0:
                killed += 1
                kills.count("job")
        self.assertGreater(killed, 2)
        self.assertEqual(run_job(*arguments, directory=directory), 0)
        self.assert_exact(directory, expected)

    def test_a_restore_under_another_fan_out_limit_is_refused(self):
        directory = self.directory
        arguments = self.arguments(directory, "--checkpoints", directory / "checkpoints")
        self.assertEqual(run_job(*arguments, directory=directory), 0)
        arguments[arguments.index("--id-fanout-limit") + 1] = "4"
        self.assertEqual(run_job(*arguments, directory=directory), 14)
        log = (directory / "job.log").read_text()
        self.assertIn("identity", log)
        self.assertIn("link (--id-fanout-limit 3)", log)
        self.assertIn("link (--id-fanout-limit 4)", log)


class CommandLine(unittest.TestCase):
    def explain(self, *argv):
        return subprocess.run([JOB, "explain", *argv], capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def test_options_that_do_not_go_together_are_refused_with_a_sentence(self):
        files = ["--history", "in", "--output", "out"]
        kafka = ["--brokers", "localhost:1"]
        for argv, said in (
                ([], "nothing to read"), ([], "nowhere to write"), (["--history", "in"], "--output DIR"),
                (["--output", "out"], "--history DIR"), (files + ["--events", "e"], "--events names a topic"),
                (files + ["--profiles", "p"], "--profiles names a topic"),
                (files + ["--dead-letters", "d"], "--dead-letters names a topic"),
                (kafka + ["--output", "out"], "--output is for jobs without --brokers"),
                (kafka + ["--fragments", "profiles"], "--fragments"), (files + ["--fragments", "profiles"], "--fragments"),
                (kafka + ["--profiles", "events"], "--profiles"),
                (files + ["--id-fanout-limit", "0"], "id-fanout-limit"),
                (files + ["--emit-interval", "0s"], "emit-interval"), (files + ["--dedupe-ttl", "soon"], "dedupe-ttl")):
            with self.subTest(argv=argv):
                done = self.explain(*argv)
                self.assertIn(done.returncode, (2, 3), done.stderr)
                self.assertIn(said, done.stderr)

    def test_plans_are_explained_without_files_or_brokers(self):
        for argv in (["--history", "in", "--output", "out"], ["--brokers", "localhost:1"],
                     ["--brokers", "localhost:1", "--history", "in", "--fragments", "f", "--bounded"]):
            with self.subTest(argv=argv):
                done = self.explain(*argv, "--as", "json")
                self.assertEqual(done.returncode, 0, done.stderr)
                plan = json.dumps(json.loads(done.stdout))
                for uid in ("events", "dedupe", "identity", "profile", "profiles", "dead-letters"):
                    self.assertIn(f'"{uid}"', plan)


if __name__ == "__main__":
    unittest.main()
