"""Savepoints as a person takes and uses them: by signal, at a stop, out of old checkpoints; and `weir inspect`.

What   jobs/steady.c is asked for savepoints and goes on; it starts again from one in another backend, with
       another parallelism, in another directory, and what is then in the output is exactly right. Savepoints that
       are cut, changed, half deleted, of another job or of a newer Weir are refused with a sentence, and so is
       a disk that is full; the job goes on, or its last checkpoint is still there.
How    Without Kafka. The golden savepoint of test/unit is read by `weir inspect` without any job.
"""

import json
import os
import pathlib
import signal
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from program import EXIT, ProgramTest  # noqa: E402

WRITTEN = "savepoint written to "
GOLDEN = program.ROOT / "test/unit/checkpoint/golden/savepoint-1"


class Savepoints(ProgramTest):
    COUNT = 20_000

    def setUp(self):
        super().setUp()
        self.savepoints = self.directory / "savepoints"

    def steady(self, *options, checkpoints=None, rate=4000):
        return self.start("steady", "--count", self.COUNT, "--rate", rate, "--output", self.output,
                          "--checkpoints", checkpoints or self.checkpoints, "--checkpoint-interval", "100ms",
                          *options)

    def stopped(self, *options):
        """The savepoint of a job that was stopped with one."""
        running = self.steady("--savepoints", self.savepoints, "--stop-with-savepoint", *options)
        running.wait_for(" completed in", count=2)
        said = self.assert_well(running.end(signal.SIGTERM))
        return pathlib.Path(said.split(WRITTEN)[1].split("\n")[0])

    def inspect(self, *arguments, status=0):
        result = program.run("weir", "inspect", *arguments)
        self.assert_ended(result, status)
        return result.out


class Life(Savepoints):
    def test_a_signal_takes_one_and_the_job_goes_on(self):
        running = self.steady("--savepoints", self.savepoints)
        running.wait_for(" completed in")
        for count in (1, 2):
            running.process.send_signal(signal.SIGUSR1)
            running.wait_for(WRITTEN, count=count)
        self.assertIn("FINISHED", self.assert_well(running.end()))
        program.check_steady(self.output, self.COUNT)
        self.assertEqual(len(list(self.savepoints.iterdir())), 2)
        for path in self.savepoints.iterdir():
            self.assertIn("whole: ", self.inspect(path, "--verify"))

    def test_without_a_place_for_them_a_signal_does_no_harm(self):
        running = self.steady()
        running.wait_for(" completed in")
        running.process.send_signal(signal.SIGUSR1)
        running.wait_for("start the job with --savepoints DIR")
        self.assert_well(running.end(signal.SIGTERM))

    def test_from_backend_to_backend_and_with_any_parallelism_nothing_is_lost(self):
        path = self.stopped("--state-backend", "hashmap")
        steps = (("rocksdb", 3), ("hashmap", 2))
        for i, (backend, parallelism) in enumerate(steps):
            self.checkpoints = self.directory / f"checkpoints-{i}"
            path = self.stopped("--state-backend", backend, "--parallelism", parallelism, "-s", path)
            program.check_steady(self.output, None)
        self.checkpoints = self.directory / "checkpoints-last"
        said = self.assert_well(self.steady("--from-savepoint", path, rate=0).end())
        self.assertIn("starts from '", said)
        program.check_steady(self.output, self.COUNT)

    def test_killed_behind_the_restore_it_resumes_from_its_own_checkpoint(self):
        path = self.stopped()
        own = self.directory / "own"
        running = self.steady("--from-savepoint", path, checkpoints=own)
        running.wait_for("starts from '")
        running.end(signal.SIGKILL)
        refused = self.steady("--from-savepoint", path, checkpoints=own).end()
        self.assert_refused(refused, EXIT["state"], "cannot start from", "has checkpoint")
        self.assertIn("starts from checkpoint", self.assert_well(self.steady(checkpoints=own, rate=0).end()))
        program.check_steady(self.output, self.COUNT)

    def test_one_is_made_out_of_an_old_checkpoint_with_no_job_near(self):
        running = self.steady()
        running.wait_for(" completed in", count=2)
        self.assert_well(running.end(signal.SIGTERM))
        job = self.checkpoints / "steady"
        checkpoint = job / f"chk-{program.checkpoints_of(job)[0]}"
        made = program.run("weir", "savepoint", checkpoint, self.savepoints)
        self.assert_ended(made, 0)
        path = pathlib.Path(made.out.strip())
        self.assertIn(" 0 changed, 0 removed", self.inspect(checkpoint, "--diff", path))
        program.copy(path, self.directory / "moved")
        self.assert_well(self.steady("-s", self.directory / "moved", "--state-backend", "hashmap", rate=0,
                                     checkpoints=self.directory / "other").end())
        program.check_steady(self.output, self.COUNT)


    def test_a_start_removes_what_a_crash_left_of_a_savepoint(self):
        left = self.savepoints / ".savepoint-steady-3-0123abcd"
        other = self.savepoints / ".savepoint-other-3-0123abcd"
        for path in (left, other):
            path.mkdir(parents=True)
        (left / "entries-0").write_bytes(b"x")
        said = self.assert_well(self.steady("--savepoints", self.savepoints, rate=0).end())
        self.assertIn("removed, because its writer died", said)
        self.assertEqual(list(self.savepoints.iterdir()), [other])


class BadInput(Savepoints):
    def assert_not_restored(self, path, status, *words):
        result = self.steady("--from-savepoint", path, checkpoints=self.directory / "new").end()
        self.assert_refused(result, status, *words)

    def test_what_is_damaged_is_refused_by_name_and_what_is_whole_still_works(self):
        path = self.stopped()
        bad = self.directory / "bad"
        entries = next(path.glob("entries-*")).name
        program.flip_byte(program.copy(path, bad) / entries)
        self.assert_not_restored(bad, EXIT["corrupt"], entries)
        self.assert_ended(program.run("weir", "inspect", bad, "--verify"), EXIT["corrupt"], entries)
        program.flip_byte(program.copy(path, bad) / "_metadata")
        self.assert_not_restored(bad, EXIT["corrupt"], "_metadata is corrupt", "checksum")
        whole = (path / "_metadata").read_bytes()
        program.replace(bad / "_metadata", whole[:200])
        self.assert_not_restored(bad, EXIT["corrupt"], "bytes follow its header")
        program.replace(program.copy(path, bad) / entries, b"")
        self.assert_not_restored(bad, EXIT["corrupt"], entries, "missing or has another length")
        (program.copy(path, bad) / "_metadata").unlink()
        self.assert_not_restored(bad, EXIT["usage"], "not a whole one")
        self.assert_not_restored(self.directory / "nothing", EXIT["usage"], "there is no")
        self.assert_well(self.steady("-s", path, checkpoints=self.directory / "new", rate=0).end())
        program.check_steady(self.output, self.COUNT)

    def test_one_of_another_job_says_what_does_not_fit(self):
        result = self.steady("--from-savepoint", GOLDEN).end()
        self.assert_refused(result, EXIT["state"], "the state of job 'shop'", "operator 'op'",
                            "--allow-non-restored-state")

    def test_a_version_is_believed_only_under_its_checksum(self):
        bad = program.copy(GOLDEN, self.directory / "newer")
        data = bytearray((bad / "_metadata").read_bytes())
        data[8:12] = struct.pack("<I", 99)
        program.replace(bad / "_metadata", bytes(data))
        result = program.run("weir", "inspect", bad)
        self.assert_ended(result, EXIT["corrupt"], "_metadata is corrupt", "checksum")

    def test_a_full_disk_takes_the_savepoint_and_nothing_else(self):
        with program.small_disk("20k") as disk:
            if disk is None:
                self.skipTest("mounting is not allowed here")
            running = self.steady("--savepoints", disk / "savepoints", "--stop-with-savepoint", "--pad", "64KB")
            (disk / "filler").write_bytes(bytes(16384))
            running.wait_for(" completed in", count=2)
            running.process.send_signal(signal.SIGUSR1)
            running.wait_for("no savepoint was taken: ")
            result = running.end(signal.SIGTERM)
            self.assert_ended(result, EXIT["state"], "without its savepoint", "No space left")
            self.assertEqual(list((disk / "savepoints").iterdir()), [])
        self.assert_well(self.steady(rate=0).end())
        program.check_steady(self.output, self.COUNT)


class Inspect(Savepoints):
    def test_a_savepoint_is_read_without_its_job(self):
        listed = self.inspect(GOLDEN)
        for words in ("savepoint of job 'shop', made from checkpoint 7", "keyed by name string",
                      "state 'ttl-map': map of profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, time to "
                      "live 100 ms in event time", "subtask 1: key groups 8 to 15"):
            self.assertIn(words, listed)
        self.assertIn(" in 'fixed',", self.inspect(GOLDEN, "--verify"))

    def test_each_answer_is_also_json(self):
        listed = json.loads(self.inspect(GOLDEN, "--json"))
        self.assertEqual((listed["job"], listed["savepoint"], listed["checkpoint"], listed["max_parallelism"]),
                         ("shop", True, 7, 16))
        first, second = listed["operators"]
        self.assertEqual((first["operator"], first["parallelism"], first["backend"]), ("op", 2, "savepoint"))
        self.assertEqual(first["key"], [{"field": "name", "kind": "string"}])
        self.assertEqual(first["states"][10], {
            "state": "ttl-map", "kind": "map", "type": "profile { 1 user_id u64, 2 visits i64, 3 is_new bool }",
            "ttl_ms": 100, "ttl_time": "event"})
        self.assertEqual([subtask["key_groups"] for subtask in first["subtasks"]], [[0, 7], [8, 15]])
        self.assertEqual([subtask["counters"] for subtask in first["subtasks"]], [{"late": 5}, {"late": 6}])
        sizes = [subtask.get("bytes", 0) + subtask["connector"]["bytes"]
                 for operator in (first, second) for subtask in operator["subtasks"]]
        self.assertEqual(sum(sizes), listed["bytes"])
        *counts, last = [json.loads(line) for line in self.inspect(GOLDEN, "--verify", "--json").splitlines()]
        self.assertEqual([(count["states"]["fixed"], count["timers"]) for count in counts], [(20, 20), (20, 20)])
        self.assertEqual(last, {"whole": True, "files": 4})

    def test_entries_are_json_by_operator_state_and_key(self):
        lines = self.inspect(GOLDEN, "--entries", "--operator", "op", "--state", "fixed", "--key", "key-17")
        self.assertEqual(json.loads(lines), {
            "operator": "op", "state": "fixed", "key": {"name": "key-17"},
            "value": {"user_id": 17, "visits": -17, "is_new": True}})
        entries = [json.loads(line) for line in self.inspect(GOLDEN, "--entries").splitlines()]
        self.assertEqual(sum("timer" in entry for entry in entries), 40)
        self.assertEqual({entry["key"]["name"] for entry in entries}, {f"key-{i}" for i in range(40)})
        notes = [entry for entry in entries if entry.get("state") == "notes"]
        self.assertEqual(notes[0]["value"]["title"], {"hex": "fffe"})
        listed = [entry for entry in entries if entry.get("state") == "list" and "value" in entry]
        self.assertEqual({entry["entry"] for entry in listed}, {0, 1, 2})
        self.assertEqual(len(self.inspect(GOLDEN, "--entries", "--limit", "5").splitlines()), 5)

    def test_a_job_says_what_it_would_restore(self):
        path = self.stopped()
        asked = program.run("weir", "inspect", path, "--job", program.path_of("steady"), "--",
                            "--state-backend", "hashmap")
        self.assert_ended(asked, 0)
        self.assertIn("state 'last': kept", asked.out)
        other = program.run("weir", "inspect", path, "--job", program.path_of("wordcount"))
        self.assertEqual(other.status, EXIT["state"])
        self.assertIn("state 'last': REFUSED", other.out)
        self.assertIn("was keyed by (key u64) and is keyed by (text string)", other.err)

    def test_a_difference_is_exit_status_1(self):
        first = self.stopped()
        second = self.stopped()
        said = self.inspect(first, "--diff", second, "--limit", "3", status=1)
        self.assertEqual(sum(line.startswith("! ") for line in said.splitlines()), 3)
        self.assertIn("0 added, 97 changed, 0 removed", said)
        lines = [json.loads(line) for line in
                 self.inspect(first, "--diff", second, "--limit", "3", "--json", status=1).splitlines()]
        self.assertEqual([line["change"] for line in lines[:3]], ["changed"] * 3)
        self.assertIn(("last", 97), [(line.get("entries"), line.get("changed")) for line in lines])
        self.inspect(first, "--diff", first)

    def test_mistakes_are_explained(self):
        for arguments, words in ((["look"], "there is no verb"), (["inspect"], "takes 1 path"),
                                 (["inspect", GOLDEN, "--state", "fixed"], "is for --entries"),
                                 (["inspect", GOLDEN, "--verify", "--entries"], "one at a time"),
                                 (["inspect", GOLDEN, "--json", "--job", "x"], "not for --job"),
                                 (["inspect", GOLDEN, "--entries", "--operator", "x"], "no operator x"),
                                 (["inspect", self.directory], "no savepoint or checkpoint")):
            self.assert_ended(program.run("weir", *arguments), EXIT["usage"], words)


if __name__ == "__main__":
    unittest.main()
