"""What a person or a disk can get wrong, without Kafka: a clear message, never a crash, a hang or a loss.

What   Wrong options, input files, checkpoint directories, damaged checkpoints, full disks, wrong graphs,
       floods of bad records. Each program run has a bounded time and has to end by itself, with the exit
       status of weir/error.h and one sentence that names the thing and the fix. Where there was something to
       lose, the correct command is run afterwards and its result has to be exact.
How    userprofile in file mode, judged by the oracle, and the small jobs in jobs/. What needs Kafka is in
       test_bad_input_kafka.py.
"""

import gzip
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from program import EXIT, ProgramTest  # noqa: E402

FILES = ("--history", "in", "--output", "out")

# arguments of userprofile, words of its answer; all of them end with the status of a wrong option.
WRONG_OPTIONS = [
    (["run", "--histroy", "in"], "no option '--histroy'", "did you mean '--history'?"),
    (["run", "--xyzzy"], "no option '--xyzzy'", "--help lists all"),
    (["run", "-p", "4"], "'-p' is not an option", "--name"),
    (["rum", *FILES], "no verb 'rum'", "'run', 'explain'"),
    (["run", "--history"], "'--history' needs a value", "--history=DIR"),
    (["run", *FILES, "--history", "in"], "'--history' is given twice"),
    (["run", *FILES, "--bounded=1"], "'--bounded' is a flag and takes no value", "'1'"),
    (["run", *FILES, "--parallelism", "many"], "'--parallelism' is 'many'", "a whole number"),
    (["run", *FILES, "--parallelism", "0"], "'--parallelism' is '0'", "from 1 to"),
    (["run", *FILES, "--parallelism", "4", "--max-parallelism", "2"], "'--parallelism' is 4",
     "'--max-parallelism' is 2"),
    (["run", *FILES, "--checkpoint-interval", "10"], "is '10'", "such as 10s"),
    (["run", *FILES, "--dedupe-ttl", "-1h"], "'--dedupe-ttl' is '-1h'", "such as 10s"),
    (["run", *FILES, "--memory", "1XB"], "'--memory' is '1XB'", "such as 64MB"),
    (["run", *FILES, "--memory", "1MB"], "'--memory' is '1MB'", "at least 16MB"),
    (["run", *FILES, "--memory", "99999999999999999GB"], "'--memory'", "too large"),
    (["run", *FILES, "--id-fanout-limit", "0"], "'--id-fanout-limit' is '0'", "at least 1"),
    (["run", *FILES, "--state-backend", "disk"], "'--state-backend' is 'disk'", "rocksdb-uncached"),
    (["run", *FILES, "--restart-delay", "2m"], "'--restart-delay'", "at most 1m"),
    (["run", *FILES, "--as", "json"], "'--as' is for explain", "userprofile explain --as json"),
    (["run", *FILES, "--checkpoints", ""], "'--checkpoints' is empty", "a directory"),
    (["run", *FILES, "--from-savepoint", ""], "'--from-savepoint' is empty", "name a savepoint"),
    (["run", *FILES, "--events", "topic"], "--events names a topic", "--brokers"),
    (["run", *FILES, "--brokers", "localhost:9092"], "--output is for jobs without --brokers"),
    (["explain", *FILES, "--as", "yaml"], "'--as' is 'yaml'", "text|json|dot"),
    (["run"], "nothing to read: give --brokers", "nowhere to write: give --brokers"),
]


class WrongOptions(ProgramTest):
    def test_a_wrong_option_is_named_with_its_fix_before_anything_starts(self):
        for argv, *words in WRONG_OPTIONS:
            with self.subTest(" ".join(argv)):
                result = program.run("userprofile", *argv, cwd=self.directory)
                self.assert_refused(result, EXIT["usage"], *words)
                self.assertEqual(list(self.directory.iterdir()), [])

    def test_metrics_that_cannot_be_written_are_told_before_the_job_runs(self):
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        missing = self.directory / "missing" / "metrics.json"
        for path, *words in ((missing, "there is no directory", "make it"),
                             (self.directory, "is there and no file", "name another"),
                             (pipe, "is there and no file", "name another")):
            result = program.run("steady", "--output", self.output, "--metrics-json", path)
            self.assert_refused(result, EXIT["usage"], f"'--metrics-json' is '{path}'", *words)
            self.assertFalse(self.output.exists())


class WrongGraph(ProgramTest):
    def test_all_mistakes_of_a_graph_are_told_at_once_and_nothing_starts(self):
        for verb in ("run", "explain"):
            result = program.run("bad_graph", verb, "--checkpoints", self.checkpoints)
            self.assert_refused(
                result, EXIT["plan"], "the job has 3 mistakes", "'second' takes 'other'",
                "'twice' gives 'tick'", "'nameless' has state, so it needs a uid",
                "have the same uid 'twice'", "weir_uid")
            self.assertFalse(self.checkpoints.exists())


class WrongInput(ProgramTest):
    """History files of userprofile that are not what they should be."""

    def setUp(self):
        super().setUp()
        self.history, self.metrics = self.directory / "in", self.directory / "metrics.json"
        program.generate_events(self.history, 2000)

    def profile(self, *options):
        return program.run("userprofile", "run", "--history", self.history, "--output", self.output,
                           "--checkpoints", self.checkpoints, "--metrics-json", self.metrics, *options)

    def assert_exact(self, *options):
        self.assert_well(self.profile(*options))
        program.check_profiles(self.history, self.output, *options, metrics=self.metrics)

    def test_a_directory_that_is_missing_is_named(self):
        self.history = self.directory / "nowhere"
        self.assert_refused(self.profile(), EXIT["connector"], f"'{self.history}' does not exist", "existing")

    def test_an_input_that_is_no_file_is_named(self):
        self.history = self.directory / "pipe"
        os.mkfifo(self.history)
        self.assert_refused(self.profile(), EXIT["connector"], str(self.history), "neither a regular file")

    def test_an_input_that_may_not_be_read_is_named_and_read_when_it_may(self):
        path = self.history / "events-0001.ndjson.gz"
        path.chmod(0)
        refused = program.run("userprofile", "run", "--history", self.history, "--output", self.output,
                              "--checkpoints", self.checkpoints, before=program.as_mere_mortal())
        self.assert_refused(refused, EXIT["io"], str(path), "Permission denied")
        path.chmod(0o644)
        self.assert_exact()

    def test_an_output_directory_that_is_a_file_is_named(self):
        self.output.write_text("mine")
        self.assert_refused(self.profile(), EXIT["io"], str(self.output))
        self.assertEqual(self.output.read_text(), "mine")

    def test_output_of_another_run_is_not_mixed_with_this_one(self):
        self.assert_exact()
        shutil.rmtree(self.checkpoints)
        self.assert_refused(self.profile(), EXIT["connector"], "output of another run", "move it away")

    def test_a_record_over_one_mebibyte_is_a_dead_letter_and_the_job_goes_on(self):
        event = b'{"event_id":"%s","ts":1700000000000,"ids":{"user":"big"},"type":"t","x":"%s"}'
        rest = (1 << 20) - len(event % (b"", b"")) - 1
        lines = [event % (b"a", b"x" * rest), event % (b"b", b"x" * (rest + 1)),
                 event % (b"c", b"x" * (5 << 20)), event % (b"d", b"")]
        self.assertEqual([len(line) - (1 << 20) for line in lines[:2]], [0, 1])
        (self.history / "big.ndjson").write_bytes(b"\n".join(lines) + b"\n")
        self.assert_exact("--dedupe-ttl", "10000d")
        letters = "".join(part.read_text() for part in self.output.glob("dead-letters-*"))
        self.assertEqual(letters.count('"reason":"too-large"'), 2)
        self.assertIn(f'"size":{len(lines[2])}', letters)

    def test_a_file_that_ends_in_the_middle_of_a_line_gives_a_dead_letter(self):
        path = self.history / "events-0002.ndjson"
        os.truncate(path, path.stat().st_size - 20)
        self.assert_exact()

    def test_a_packed_file_that_was_cut_is_named_and_read_once_it_is_whole(self):
        path = self.history / "events-0001.ndjson.gz"
        whole = path.read_bytes()
        for cut in (whole[:len(whole) // 2], whole[:5], whole[:-4], b"no gzip at all", whole + b"rubbish"):
            program.replace(path, cut)
            self.assert_refused(self.profile(), EXIT["corrupt"], str(path), "replace the file")
        program.replace(path, whole)
        self.assert_exact()

    def test_a_packed_file_of_several_members_is_read_whole(self):
        (self.history / "two.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\nthree"))
        self.assert_exact()

    def test_a_file_that_vanished_or_shrank_before_it_was_finished_is_named(self):
        path = self.interrupted()
        whole = path.read_bytes()
        path.unlink()
        self.assert_refused(self.profile(), EXIT["connector"], path.name, "put it back")
        path.write_bytes(whole[:100])
        self.assert_refused(self.profile(), EXIT["connector"], str(path), "put the old file back")
        path.write_bytes(whole)
        self.assert_exact("--dedupe-ttl", "10000d")

    def interrupted(self):
        """Kills the job in a large file, after a checkpoint; returns the file."""
        path = self.history / "events-0000.ndjson"
        path.write_bytes(path.read_bytes() + big_file(100_000))
        running = self.start("userprofile", "run", "--history", self.history, "--output", self.output,
                             "--checkpoints", self.checkpoints, "--checkpoint-interval", "50ms",
                             "--dedupe-ttl", "10000d")
        running.wait_for(" completed in")
        running.end(signal.SIGKILL)
        return path


def big_file(count):
    """Lines that are events of one user each, quick to make."""
    event = '{"event_id":"big-%d","ts":1700000000000,"ids":{"user":"u%d"},"type":"view"}\n'
    return "".join(event % (i, i % 1000) for i in range(count)).encode()


class WrongLines(ProgramTest):
    """Lines of CSV, in a job with a limit for bad ones."""

    def setUp(self):
        super().setUp()
        self.input = self.directory / "words.csv"

    def lines(self, *options):
        return program.run("lines", "--input", self.input, "--output", self.output, *options)

    def words(self, prefix="part"):
        return "".join(part.read_text() for part in sorted(self.output.glob(f"{prefix}-*")))

    def test_a_table_that_was_cut_gives_its_whole_lines_and_a_dead_letter(self):
        self.input.write_text('1,one\n2,"two, or ""more"""\n3,"thr')
        self.assert_well(self.lines())
        self.assertEqual(self.words(), '{"id":1,"text":"one"}\n{"id":2,"text":"two, or \\"more\\""}\n')
        letter = self.words("dead-letters")
        for words in ('"reason":"bad-csv"', '"topic":"words.csv"', '"offset":27', "field 2, 'text'"):
            self.assertIn(words, letter)
        self.assertEqual(letter.count("\n"), 1)

    def test_a_flood_of_bad_records_fails_the_job_and_a_repaired_file_is_read_exactly_once(self):
        good = "".join(f"{i},word\n" for i in range(5000))
        self.input.write_text(good + "not a number\n" * 5000)
        checkpoints = ("--checkpoints", self.checkpoints, "--bad-per-second", "10")
        result = self.lines(*checkpoints)
        self.assert_refused(result, EXIT["limit"], "more than 10 dead letters a second",
                            "file 'words.csv', byte", "repair the input or raise the limit")
        self.assertEqual(result.err.count("more than 10"), 1)
        self.assertEqual(self.words("dead-letters"), "")
        self.input.write_text(good)
        self.assert_well(self.lines(*checkpoints))
        self.assertEqual(self.words().count("\n"), 5000)

    def test_a_few_bad_records_do_not_fail_a_job_that_has_a_limit(self):
        self.input.write_text("1,one\n" + "x,y\n" * 90)
        self.assert_well(self.lines("--bad-per-second", "10"))
        self.assertEqual(self.words("dead-letters").count("\n"), 90)

    def test_a_bad_record_without_a_place_for_it_fails_the_job_and_is_named(self):
        self.input.write_text("1,one\nx,y\n")
        self.assert_refused(self.lines("--no-letters"), EXIT["data"], "file 'words.csv', byte 6",
                            "weir_dead_letters")


class CheckpointDirectory(ProgramTest):
    def steady(self, *options, output=None, **kwargs):
        return program.run("steady", "--count", "3000", "--output", output or self.output, "--checkpoints",
                           self.checkpoints, *options, **kwargs)

    def test_a_file_is_no_checkpoint_directory(self):
        self.checkpoints.write_text("mine")
        self.assert_refused(self.steady(), EXIT["usage"], f"--checkpoints '{self.checkpoints}'",
                            "not a directory")
        self.assertEqual(self.checkpoints.read_text(), "mine")

    def test_a_file_in_the_place_of_the_jobs_directory_is_named(self):
        self.checkpoints.mkdir()
        (self.checkpoints / "steady").write_text("mine")
        self.assert_refused(self.steady(), EXIT["io"], str(self.checkpoints / "steady"), "Not a directory")

    def test_a_directory_that_may_not_be_written_is_named(self):
        self.checkpoints.mkdir(mode=0o555)
        result = self.steady(before=program.as_mere_mortal())
        self.assert_refused(result, EXIT["io"], "checkpoint directory", str(self.checkpoints),
                            "Permission denied")
        self.checkpoints.chmod(0o755)
        self.assert_well(self.steady())
        program.check_steady(self.output, 3000)

    def test_the_directory_of_the_job_itself_is_refused_and_nothing_is_written(self):
        self.assert_well(self.steady())
        before = sorted(self.checkpoints.rglob("*"))
        self.checkpoints /= "steady"
        self.assert_refused(self.steady(), EXIT["usage"], f"'{self.checkpoints}'", "the directory above")
        self.assertEqual(sorted(self.checkpoints.parent.rglob("*")), before)

    def test_a_directory_that_vanishes_is_told_at_each_restart_until_it_is_back(self):
        away = self.directory / "away"
        running = self.start("steady", "--count", "20000", "--rate", "5000", "--output", self.output, "--checkpoints",
                             self.checkpoints, "--checkpoint-interval", "100ms", "--restart-delay", "200ms")
        running.wait_for(" completed in")
        self.checkpoints.rename(away)
        running.wait_for("(restart 3)")
        told = [line for line in running.said().splitlines() if "; restarting in " in line]
        self.assertEqual(len(told), 3)
        for line in told[1:]:
            self.assertIn(f"cannot list the directory '{self.checkpoints}/steady': No such file", line)
        away.rename(self.checkpoints)
        self.assert_well(running.end())
        program.check_steady(self.output, 20000)

    def test_files_that_are_not_ours_stay_where_they_are(self):
        (self.checkpoints / "steady").mkdir(parents=True)
        for name in ("letter.txt", "steady/letter.txt"):
            (self.checkpoints / name).write_text("mine")
        self.assert_well(self.steady())
        program.check_steady(self.output, 3000)
        for name in ("letter.txt", "steady/letter.txt"):
            self.assertEqual((self.checkpoints / name).read_text(), "mine")

    def test_a_checkpoint_of_another_job_is_refused_and_stays_good_for_its_own(self):
        shutil.copy2(program.path_of("steady"), self.directory / "other")
        other = [self.directory / "other", "--count", "3000", "--output", self.output, "--checkpoints",
                 self.checkpoints]
        subprocess.run(other, check=True, timeout=60, stderr=subprocess.DEVNULL)
        (self.checkpoints / "other").rename(self.checkpoints / "steady")
        result = self.steady(output=self.directory / "mixed")
        self.assert_refused(result, EXIT["state"], "are of job 'other', not of job 'steady'", "its own name")
        (self.checkpoints / "steady").rename(self.checkpoints / "other")
        subprocess.run(other, check=True, timeout=60, stderr=subprocess.DEVNULL)
        program.check_steady(self.output, 3000)

    def test_a_job_that_no_longer_fits_its_checkpoint_is_told_what_changed(self):
        self.assert_well(self.steady())
        changed = [
            (["--state-backend", "hashmap"], "'count' kept its state in 'rocksdb'", "choose the old one"),
            (["--max-parallelism", "64"], "maximum parallelism of 128, the job has 64 now", "set it back"),
        ]
        for options, *words in changed:
            self.assert_refused(self.steady(*options), EXIT["state"], "'steady' does not fit", *words)
        self.assert_well(self.steady("--parallelism", "2"))
        program.check_steady(self.output, 3000)

    def test_a_checkpoint_of_another_program_under_the_same_name_is_refused_by_its_uids(self):
        self.assert_well(self.steady())
        (self.directory / "words.csv").write_text("1,one\n")
        os.link(program.path_of("lines"), self.directory / "steady")
        done = subprocess.run([self.directory / "steady", "--input", self.directory / "words.csv", "--output",
                               self.directory / "mixed", "--checkpoints", self.checkpoints], timeout=60,
                              stderr=subprocess.PIPE, text=True, check=False)
        result = program.Result("steady", done.returncode, "", done.stderr)
        self.assert_refused(result, EXIT["state"], "'steady' does not fit",
                            "'count' has state in the checkpoint", "is not in the job any more", "'ticks'")

    def test_fresh_is_refused_while_there_is_a_checkpoint(self):
        self.assert_well(self.steady("--fresh"))
        self.assert_refused(self.steady("--fresh"), EXIT["state"], "fresh", str(self.checkpoints / "steady"),
                            "another --checkpoints")
        self.assertIn("starts from checkpoint", self.assert_well(self.steady()))
        program.check_steady(self.output, 3000)

    def test_another_fanout_limit_is_refused_and_the_old_one_goes_on(self):
        program.generate_events(self.directory / "in", 1000)
        command = ("run", "--history", self.directory / "in", "--output", self.output, "--checkpoints",
                   self.checkpoints, "--id-fanout-limit")
        self.assert_well(program.run("userprofile", *command, "8"))
        self.assert_refused(program.run("userprofile", *command, "9"), EXIT["state"],
                            "--id-fanout-limit 8", "--id-fanout-limit 9")
        self.assert_well(program.run("userprofile", *command, "8", "--parallelism", "2"))
        program.check_profiles(self.directory / "in", self.output, "--id-fanout-limit", "8")


DAMAGES = (lambda path: program.replace(path, path.read_bytes()[:-1]),
           lambda path: program.replace(path, b""),
           lambda path: program.flip_byte(path, 0), lambda path: program.flip_byte(path, -1))


class DamagedCheckpoint(ProgramTest):
    """One byte, in each file of a checkpoint in turn. `self.whole` is a job killed after some checkpoints."""

    COUNT = 10_000

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.whole = pathlib.Path(directory.name) / "whole"
        cls.whole.mkdir()
        running = program.Running(cls.whole / "log", "steady", *cls.argv(cls.whole), "--rate", "5000")
        try:
            running.wait_for(" completed in", count=4)
        finally:
            running.end(signal.SIGKILL)
        cls.job = cls.whole / "checkpoints" / "steady"
        cls.newest, cls.previous, *_ = numbers = program.checkpoints_of(cls.job)
        own, *older = [program.files_of(cls.job, number) for number in numbers]
        cls.own, cls.shared = sorted(own.difference(*older)), sorted(own.intersection(*older))

    @classmethod
    def argv(cls, place):
        return ("--count", cls.COUNT, "--output", place / "out", "--checkpoints", place / "checkpoints",
                "--checkpoint-interval", "100ms")

    def copy(self):
        place = program.copy(self.whole, self.directory / "damaged")
        return place, place / "checkpoints" / "steady"

    def resume(self, place):
        return program.run("steady", *self.argv(place))

    def assert_falls_back(self, place, name):
        """Loudly, and if output behind the older checkpoint is out already, only when that was moved away."""
        said = ""
        for _ in range(10):
            result = self.resume(place)
            said += result.err
            if result.status == 0:
                break
            self.assert_refused(result, EXIT["connector"], "is output from behind checkpoint", "move it away")
            for part in re.findall(r"'(/[^']*part-[^']*)' is output", result.err):
                os.unlink(part)
        for words in ("BROKEN, trying the one before", name, f"FELL BACK behind 1 broken ones: checkpoint="
                      f"{self.previous}", f"starts from checkpoint {self.previous}"):
            self.assertIn(words, said)
        program.check_steady(place / "out", self.COUNT)

    def test_the_whole_one_is_resumed_exactly(self):
        place, _ = self.copy()
        self.assertIn(f"starts from checkpoint {self.newest} ", self.assert_well(self.resume(place)))
        program.check_steady(place / "out", self.COUNT)

    def test_each_file_that_only_the_newest_has_makes_the_job_fall_back_loudly(self):
        self.assertGreaterEqual(len(self.own), 1)
        for name in [f"chk-{self.newest}/_metadata", *self.own]:
            with self.subTest(name):
                place, job = self.copy()
                program.flip_byte(job / name)
                self.assert_falls_back(place, name)

    def test_every_way_to_damage_a_file_is_found(self):
        own, metadata = self.own[0], f"chk-{self.newest}/_metadata"
        pairs = [(name, damage) for name in (own, metadata) for damage in DAMAGES]
        for name, damage in [(own, os.unlink), *pairs]:
            with self.subTest(name):
                place, job = self.copy()
                damage(job / name)
                self.assert_falls_back(place, name)

    def test_a_file_that_all_checkpoints_share_stops_the_job_and_is_named(self):
        self.assertGreaterEqual(len(self.shared), 1)
        for name in self.shared:
            with self.subTest(name):
                place, job = self.copy()
                program.flip_byte(job / name)
                result = self.resume(place)
                self.assert_refused(result, EXIT["corrupt"], "are broken", name,
                                    "restore the directory from a copy")
                program.flip_byte(job / name)
                self.assertIn(f"starts from checkpoint {self.newest} ", self.assert_well(self.resume(place)))
                program.check_steady(place / "out", self.COUNT)

    def test_when_all_are_broken_nothing_is_thrown_away(self):
        place, job = self.copy()
        names = [job / f"chk-{number}" / "_metadata" for number in program.checkpoints_of(job)]
        before = [name.read_bytes() for name in names]
        for name in names:
            program.flip_byte(name)
        for _ in range(2):
            self.assert_refused(self.resume(place), EXIT["corrupt"], f"all {len(names)} checkpoints",
                                "_metadata", "restore the directory from a copy")
        self.assertEqual(program.run("steady", *self.argv(place), "--fresh").status, EXIT["state"])
        for name, data in zip(names, before):
            program.replace(name, data)
        self.assertIn(f"starts from checkpoint {self.newest} ", self.assert_well(self.resume(place)))
        program.check_steady(place / "out", self.COUNT)

    def test_a_damaged_file_of_an_attempt_is_told_and_costs_nothing(self):
        place, job = self.copy()
        for attempt in job.glob("attempt-*"):
            program.flip_byte(attempt)
        said = self.assert_well(self.resume(place))
        self.assertIn("attempt-1", said)
        self.assertIn(f"starts from checkpoint {self.newest} ", said)
        program.check_steady(place / "out", self.COUNT)


class FullDisk(ProgramTest):
    """A disk of a few megabytes, filled up and emptied again while the job runs."""

    def on(self, disk, *options):
        return ("--count", "20000", "--rate", "5000", "--output", self.output, "--checkpoints", disk / "cp",
                "--checkpoint-interval", "100ms", "--restart-delay", "200ms", *options)

    def disk(self):
        disk = self.enterContext(program.small_disk(24 << 20))
        if disk is None:
            self.skipTest("SKIPPED: a disk of its own needs root")
        return disk

    def fill(self, disk):
        with open(disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1 << 16))
            except OSError:
                pass

    def test_a_checkpoint_that_finds_no_space_is_reported_and_taken_again_when_there_is(self):
        disk = self.disk()
        running = self.start("steady", *self.on(disk))
        running.wait_for(" completed in")
        self.fill(disk)
        running.wait_for("free space on that disk")
        said = len(running.said())
        (disk / "ballast").unlink()
        result = running.end()
        self.assert_well(result)
        self.assertIn(" completed in", result.err[said:])
        program.check_steady(self.output, 20000)

    def test_a_disk_that_stays_full_ends_the_job_when_it_may_not_restart_and_nothing_is_lost(self):
        disk = self.disk()
        running = self.start("steady", *self.on(disk, "--restart", "none", "--stop-timeout", "15s"))
        running.wait_for(" completed in")
        self.fill(disk)
        running.wait_for("free space on that disk")
        result = running.end(signal.SIGTERM)
        self.assertIn(result.status, (EXIT["disk-full"], EXIT["timeout"]), result.err)
        (disk / "ballast").unlink()
        self.assert_well(program.run("steady", *self.on(disk)))
        program.check_steady(self.output, 20000)

    def test_a_full_output_disk_fails_the_job_and_nothing_is_lost_or_written_twice(self):
        disk = self.disk()
        self.output = disk / "out"
        self.output.mkdir()
        self.fill(disk)
        argv = ("--output", self.output, "--checkpoints", self.checkpoints, "--count", "100000")
        self.assert_refused(program.run("steady", *argv, "--restart", "none"), EXIT["disk-full"],
                            str(self.output), "free space")
        (disk / "ballast").unlink()
        self.assert_well(program.run("steady", *argv))
        program.check_steady(self.output, 100000)

    def test_a_limit_on_the_size_of_files_is_an_error_and_not_a_signal(self):
        before = ["prlimit", f"--fsize={64 << 10}"]
        argv = ("--output", self.output, "--checkpoints", self.checkpoints, "--count", "100000")
        result = program.run("steady", *argv, "--restart", "none", before=before)
        self.assert_refused(result, EXIT["io"], "File too large")
        self.assert_well(program.run("steady", *argv))
        program.check_steady(self.output, 100000)


if __name__ == "__main__":
    unittest.main()
