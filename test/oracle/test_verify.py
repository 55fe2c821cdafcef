"""The verifier: what is equal is green, and every planted fault turns it red."""

import base64
import contextlib
import io
import json
import os
import random
import tempfile
import unittest

import userprofile
import verify
from inputs import InputError, Record
from test_userprofile import event, random_events


def dump_line(partition, offset, key, value):
    def pack(data):
        return None if data is None else base64.b64encode(data).decode()
    return json.dumps({"partition": partition, "offset": offset, "key": pack(key), "value": pack(value)}) + "\n"


class Folder(unittest.TestCase):
    """A temporary folder and a way to run the verifier in this process."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def run_verify(self, *arguments):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = verify.main(list(arguments))
        return code, output.getvalue()

    def assert_green(self, *arguments):
        code, output = self.run_verify(*arguments)
        self.assertEqual((code, output.count("\n")), (0, 1), output)
        return output

    def assert_red(self, expected, *arguments):
        code, output = self.run_verify(*arguments)
        self.assertEqual(code, 1, output)
        self.assertIn(expected, output)
        self.assertLessEqual(output.count("\n"), 10 * 3 + 2)
        return output


class JobFiles(Folder):
    """File output: a small stand-in for the engine writes it from the oracle's expectations, then it is damaged."""

    def setUp(self):
        super().setUp()
        self.values = random_events(random.Random(5), 300) + [b"{}", b"{}", b"\xff", b"", event(amount="null")]
        self.write("in/a.ndjson", b"\n".join(self.values) + b"\n")
        oracle = userprofile.Oracle(4)
        for record in userprofile.inputs.read_history(self.path("in")):
            oracle.add(record)
        self.oracle = oracle
        self.expected = oracle.profiles()
        self.counters = oracle.counters()
        self.records = [(yid, line) for yid, line in sorted(self.expected.items())]
        self.gone = next(identity for identity in oracle.owners() if identity in oracle.fragments())
        self.letters = list(oracle.dead_letters)
        self.arguments = ["--history", self.path("in"), "--id-fanout-limit", "4", "--output", self.path("out"),
                          "--metrics", self.path("metrics.json")]

    def write_output(self):
        """The first half of the upserts goes to subtask 1 of checkpoint 1, all final ones to checkpoint 2."""
        early = [(yid, b'{"yid":' + userprofile.quote(yid) + b',"old":1}') for yid in sorted(self.expected)[::2]]
        early.append((self.gone, b'{"yid":' + userprofile.quote(self.gone) + b',"old":1}'))
        self.write("out/profiles-0000000001-1-0.ndjson", self.lines(early))
        self.write("out/profiles-0000000002-0-0.ndjson", self.lines(self.records + [(self.gone, b"")]))
        self.write("out/dead-letters-0000000001-0-0.ndjson", b"".join(line + b"\n" for line in self.letters[:2]))
        self.write("out/dead-letters-0000000001-1-0.ndjson", b"".join(line + b"\n" for line in self.letters[2:]))
        self.write("metrics.json", json.dumps({**self.counters, "owner_changes": 12}))

    def lines(self, pairs):
        return b"".join(yid + b"\t" + line + b"\n" for yid, line in pairs)

    def red(self, expected):
        self.write_output()
        return self.assert_red(expected, *self.arguments)

    def test_equal_output_is_green(self):
        self.write_output()
        self.assertIn(f"{len(self.expected)} profiles", self.assert_green(*self.arguments))

    def test_stored_expectations_are_as_good_as_the_input(self):
        self.write_output()
        userprofile.write_expectations(self.oracle, self.path("expected"))
        arguments = ["--expected", self.path("expected"), *self.arguments[4:]]
        self.assert_green(*arguments)
        self.letters.pop()
        self.write_output()
        self.assert_red("dead letter", *arguments)

    def test_a_lost_profile_is_red(self):
        # The early files hold every second profile, so one of the others is lost altogether.
        yid, _ = self.records[1]
        self.records[1] = self.records[0]
        self.red(f"profile {yid.decode()} was never written")

    def test_an_outdated_latest_record_is_red(self):
        yid, _ = self.records.pop(0)
        self.red(f"profile {yid.decode()} at profiles-0000000001-1-0.ndjson:1 differs at byte")

    def test_an_altered_value_is_red_and_shown(self):
        yid, line = self.records[3]
        self.records[3] = (yid, line.replace(b'"count":', b'"count":9'))
        output = self.red(f"profile {yid.decode()} at profiles-0000000002-0-0.ndjson:4 differs at byte")
        self.assertIn('"count":9', output)

    def test_every_single_altered_byte_is_red(self):
        yid, line = self.records[2]
        self.write_output()
        for at in range(0, len(line), 7):
            altered = line[:at] + bytes([line[at] ^ 1]) + line[at + 1:]
            self.write("out/profiles-0000000003-0-0.ndjson", self.lines([(yid, altered)]))
            code, output = self.run_verify(*self.arguments)
            self.assertEqual(code, 1, output)

    def test_a_missing_tombstone_is_red(self):
        gone = self.gone
        self.gone = b"device:other"
        self.records.append((gone, b'{"yid":' + userprofile.quote(gone) + b',"old":1}'))
        self.red(f"profile {gone.decode()} must not exist")

    def test_a_wrong_tombstone_is_red(self):
        self.records.append((self.records[0][0], b""))
        self.red("ends in a tombstone")

    def test_an_invented_profile_is_red(self):
        self.records.append((b"user:nobody", b'{"yid":"user:nobody","oversize":true}'))
        self.red("profile user:nobody must not exist")

    def test_a_tombstone_for_a_yid_never_emitted_is_green(self):
        self.records.append((b"user:nobody", b""))
        self.write_output()
        self.assert_green(*self.arguments)

    def test_a_record_under_another_key_is_red_even_if_a_later_one_is_right(self):
        self.records.insert(0, (self.records[0][0], self.records[1][1]))
        self.red("is not about this yid")

    def test_reordered_records_of_one_yid_are_red(self):
        self.write_output()
        os.rename(self.path("out/profiles-0000000001-1-0.ndjson"), self.path("out/profiles-0000000003-1-0.ndjson"))
        self.assert_red("differs at byte", *self.arguments)

    def test_later_checkpoints_win_whatever_the_subtask(self):
        self.write_output()
        os.rename(self.path("out/profiles-0000000002-0-0.ndjson"), self.path("out/profiles-0000000010-0-0.ndjson"))
        os.rename(self.path("out/profiles-0000000001-1-0.ndjson"), self.path("out/profiles-0000000009-9-0.ndjson"))
        self.assert_green(*self.arguments)

    def test_a_torn_last_line_is_red(self):
        self.write_output()
        self.write("out/profiles-0000000003-0-0.ndjson", self.lines([self.records[0]])[:-1])
        self.assert_red("is torn", *self.arguments)

    def test_a_line_without_a_tab_is_red(self):
        self.write_output()
        self.write("out/profiles-0000000003-0-0.ndjson", b"user:u1\n")
        self.assert_red("has no tab", *self.arguments)

    def test_a_lost_dead_letter_is_red(self):
        self.letters.pop()
        self.red("dead letter expected 1 times, found 0 times")

    def test_a_duplicated_dead_letter_is_red(self):
        self.letters.append(self.letters[0])
        self.red("dead letter expected 1 times, found 2 times")

    def test_an_altered_dead_letter_is_red(self):
        self.letters[0] = self.letters[0].replace(b'"size":', b'"size":1')
        self.red("dead letter expected 0 times, found 1 times")

    def test_no_output_at_all_is_red(self):
        self.write_output()
        os.mkdir(self.path("nothing"))
        self.assert_red("and", *[self.path("nothing") if each == self.path("out") else each for each in self.arguments])

    def test_wrong_counters_are_red(self):
        right = self.counters
        for name, value in (("events_in", right["events_in"] + 1),
                            ("duplicates_dropped", right["duplicates_dropped"] - 1),
                            ("events_in", None), ("events_in", float(right["events_in"])),
                            ("quarantined", {**right["quarantined"], "bad-utf8": 0}),
                            ("quarantined", {**right["quarantined"], "late": 1}), ("quarantined", {})):
            self.counters = {**right, name: value}
            with self.subTest(name=name, value=value):
                self.red("counter ")

    def engine_metrics(self, **changes):
        """The counters as an engine writes them: by operator."""
        letters = {f"dead_letters.{reason}": count for reason, count in self.counters["quarantined"].items() if count}
        counters = {"dedupe": {"duplicates_dropped": self.counters["duplicates_dropped"], "events_valid": 99},
                    "events": {"records_in": 7, **letters}, **changes}
        return json.dumps({"job": "userprofile", "events_in": self.counters["events_in"], "counters": counters})

    def test_an_engines_own_metrics_are_read(self):
        self.write_output()
        self.write("metrics.json", self.engine_metrics())
        self.assert_green(*self.arguments)
        for changes in ({"dedupe": {}}, {"events": {}}, {"other": {"dead_letters.late": 1}},
                        {"other": {"duplicates_dropped": 1}}):
            self.write("metrics.json", self.engine_metrics(**changes))
            with self.subTest(changes=changes):
                self.assert_red("counter ", *self.arguments)

    def test_reasons_without_a_record_may_be_left_out(self):
        self.counters["quarantined"] = {name: count for name, count in self.counters["quarantined"].items() if count}
        self.write_output()
        self.assert_green(*self.arguments)

    def test_a_lost_input_event_is_red(self):
        self.write_output()
        self.write("in/a.ndjson", b"\n".join(self.values + [event(event_id='"lost"')]) + b"\n")
        self.assert_red("profile user:u1 at profiles-0000000002-0-0.ndjson", *self.arguments)

    def test_only_ten_differences_are_printed(self):
        self.records = self.records[:2]
        self.assertIn("more", self.red("DIFFERENT"))


class JobDumps(Folder):
    """Kafka output: dumps of the three topics."""

    def setUp(self):
        super().setUp()
        values = random_events(random.Random(6), 200) + [b"{}", None, b""]
        lines = [dump_line(i % 3, i // 3, b"ignored", value) for i, value in enumerate(values)]
        self.write("events.dump", "".join(lines))
        oracle = userprofile.Oracle(4)
        for i, value in enumerate(values):
            oracle.add(Record(b"in", i % 3, i // 3, None, value, None))
        self.profiles = self.placed(oracle.profiles())
        self.fragments = self.placed(oracle.fragments())
        self.letters = [(i % 2, i, None, line) for i, line in enumerate(oracle.dead_letters)]
        self.arguments = ["--kafka", self.path("events.dump"), "--topic", "in", "--id-fanout-limit", "4"]
        for name in ("profiles", "dead-letters", "fragments"):
            self.arguments += [f"--{name}", self.path(name)]

    def placed(self, lines):
        return [(sum(yid) % 4, 10 * i, yid, line) for i, (yid, line) in enumerate(sorted(lines.items()))]

    def write_output(self):
        for name, records in (("profiles", self.profiles), ("fragments", self.fragments),
                              ("dead-letters", self.letters)):
            self.write(name, "".join(dump_line(*record) for record in random.Random(1).sample(records, len(records))))

    def green(self):
        self.write_output()
        self.assert_green(*self.arguments)

    def red(self, expected):
        self.write_output()
        self.assert_red(expected, *self.arguments)

    def test_equal_dumps_are_green_in_whatever_order_they_were_read(self):
        self.green()

    def test_the_greatest_offset_of_a_key_counts(self):
        partition, offset, yid, line = self.profiles[5]
        self.profiles.append((partition, offset + 1, yid, None))
        self.red("ends in a tombstone at partition")
        self.profiles.append((partition, offset + 2, yid, line))
        self.green()

    def test_a_null_value_is_a_tombstone_and_an_empty_one_is_not(self):
        self.profiles.append((0, 10 ** 6, b"user:gone", None))
        self.green()
        self.profiles.append((0, 10 ** 6 + 1, b"user:gone", b""))
        self.red("profile user:gone")

    def test_a_lost_profile_is_red(self):
        del self.profiles[7]
        self.red("was never written")

    def test_one_yid_in_two_partitions_is_red(self):
        partition, offset, yid, line = self.profiles[5]
        self.profiles.append((partition + 1, 10 ** 6, yid, line))
        self.red("no latest record exists")

    def test_a_record_without_a_key_is_red(self):
        self.profiles.append((0, 10 ** 6, None, b"x"))
        self.red("has no key")

    def test_dead_letters_with_a_key_lost_or_repeated_are_red(self):
        right = self.letters
        for letters, expected in ((right[1:], "found 0 times"), (right + [(5, 1, None, right[0][3])], "found 2 times"),
                                  ([(0, 99, b"k", right[0][3])] + right[1:], "with a key"),
                                  (right + [(5, 1, None, None)], "without")):
            self.letters = letters
            self.red(expected)

    def test_an_altered_or_lost_fragment_is_red(self):
        partition, offset, yid, line = self.fragments[0]
        self.fragments[0] = (partition, offset, yid, line.replace(b"}}", b',"tag.new":1}}'))
        self.red(f"fragment {yid.decode()}")
        del self.fragments[0]
        self.red(f"fragment {yid.decode()} was never written")

    def test_a_replayed_fragment_is_red_although_the_latest_is_right(self):
        partition, offset, yid, line = self.fragments[0]
        self.fragments.append((partition, offset + 1, yid, line))
        self.red("is a replay or reordered")

    def test_a_missing_dump_is_a_usage_error(self):
        with self.assertRaises(InputError):
            verify.main(self.arguments)


class Ledger(Folder):
    """Records with unique ids: each exactly once and in order."""

    def setUp(self):
        super().setUp()
        self.write("ids", "".join(f"id-{i}\n" for i in range(100)))
        self.records = [(i % 3, i // 3, f"id-{i}".encode(), b"{}") for i in range(100)]
        self.arguments = ["--ledger", self.path("dump"), "--expect", self.path("ids")]

    def red(self, expected, *more):
        self.write("dump", "".join(dump_line(*record) for record in self.records))
        self.assert_red(expected, *self.arguments, *more)

    def green(self, *more):
        self.write("dump", "".join(dump_line(*record) for record in self.records))
        self.assert_green(*self.arguments, *more)

    def swap_ids(self, first, second):
        (p, o, k, v), (q, r, l, w) = self.records[first], self.records[second]
        self.records[first], self.records[second] = (p, o, l, v), (q, r, k, w)

    def test_every_id_once_and_in_order_is_green(self):
        self.green()

    def test_gaps_between_offsets_are_green(self):
        self.records = [(p, 3 * o, k, v) for p, o, k, v in self.records]
        self.green()

    def test_a_loss_is_red(self):
        del self.records[50]
        self.red("id-50 is lost")

    def test_a_lost_end_is_red(self):
        self.records.pop()
        self.red("id-99 is lost")

    def test_a_duplicate_is_red(self):
        self.records.append((0, 1000, b"id-0", b"{}"))
        self.red("id-0 is duplicated: at partition 0 offset 0 and at partition 0 offset 1000")

    def test_a_duplicate_in_another_partition_is_red(self):
        self.records.append((7, 0, b"id-0", b"{}"))
        self.red("id-0 is duplicated")

    def test_a_reordering_within_a_partition_is_red(self):
        self.swap_ids(3, 6)
        self.red("id-3 at partition 0 offset 2 is reordered: it comes after id-6")

    def test_a_reordering_is_green_when_order_is_not_promised(self):
        self.swap_ids(3, 6)
        self.green("--any-order")

    def test_order_can_be_promised_per_producer(self):
        self.write("ids", "".join(f"{name}-{i}\n" for name in "ab" for i in range(5)))
        self.records = [(0, 2 * i + (name == "a"), f"{name}-{i}".encode(), None) for name in "ab" for i in range(5)]
        self.red("is reordered")
        self.green("--order-within", "^(.*)-")
        self.swap_ids(1, 2)
        self.red("is reordered", "--order-within", "^(.*)-")

    def test_an_unexpected_id_is_red(self):
        self.records.append((0, 1000, b"id-100", b"{}"))
        self.red("unexpected id id-100")

    def test_a_record_without_an_id_is_red(self):
        self.records.append((0, 1000, None, b"{}"))
        self.red("has no id")

    def test_a_torn_transaction_shows_as_losses(self):
        del self.records[40:45]
        self.red("id-44 is lost")

    def test_ids_can_be_in_the_value_or_in_a_member_of_it(self):
        keyed = self.records
        self.records = [(p, o, None, k) for p, o, k, _ in keyed]
        self.green("--id", "value")
        self.records = [(p, o, None, b'{"id":"%s"}' % k) for p, o, k, _ in keyed]
        self.green("--id", "member:id")
        self.records[4] = (1, 1, None, b"torn {")
        self.red("has no id", "--id", "member:id")

    def test_repeated_expected_ids_are_refused(self):
        self.write("ids", "a\na\n")
        self.write("dump", "")
        with self.assertRaises(InputError):
            verify.main(self.arguments)


class Units(Folder):
    """Tagged records: a transaction is visible as a whole or not at all."""

    def setUp(self):
        super().setUp()
        self.records = []
        for unit in ("sink-0", "sink-1"):
            for epoch in range(1, 6):
                self.add(unit, epoch, range(7), 7)

    def add(self, unit, epoch, indexes, total):
        for index in indexes:
            value = json.dumps({"unit": unit, "epoch": epoch, "index": index, "total": total, "more": 1}).encode()
            self.records.append((index % 2, len(self.records), None, value))

    def red(self, expected, *more):
        self.write("dump", "".join(dump_line(*record) for record in self.records))
        self.assert_red(expected, "--units", self.path("dump"), *more)

    def green(self, *more):
        self.write("dump", "".join(dump_line(*record) for record in self.records))
        self.assertIn("transactions", self.assert_green("--units", self.path("dump"), *more))

    def test_whole_transactions_are_green(self):
        self.green()

    def test_a_transaction_that_is_not_visible_at_all_is_green(self):
        del self.records[7:14]
        self.green()

    def test_a_torn_transaction_is_red_wherever_it_is_torn(self):
        whole = self.records
        for cut in ([0], [6], [2, 3], [0, 1, 2, 3, 4, 5]):
            self.records = [record for i, record in enumerate(whole) if i - 7 not in cut]
            self.red(f"unit sink-0 epoch 2 is torn: {7 - len(cut)} of 7 records are visible, missing index {cut[0]}")

    def test_a_repeated_transaction_is_red(self):
        self.add("sink-0", 5, range(7), 7)
        self.red("unit sink-0 epoch 5 index 0 is duplicated")

    def test_reordered_epochs_are_red(self):
        self.add("sink-2", 2, range(2), 2)
        self.add("sink-2", 1, range(2), 2)
        self.red("unit sink-2 epoch 1 index 0 at partition 0 offset 72 is reordered")
        self.green("--any-order")

    def test_reordered_records_within_a_transaction_are_red(self):
        self.add("sink-2", 1, [0, 1, 4, 3, 2], 5)
        self.red("unit sink-2 epoch 1 index 2")

    def test_an_index_or_total_that_does_not_fit_is_red(self):
        for index, total in ((7, 7), (-1, 7), (0, 8)):
            self.add("sink-0", 5, [index], total)
            self.red(f"index {index} does not fit total {total}")
            self.records.pop()

    def test_an_untagged_record_is_red(self):
        for value in (None, b"", b"[]", b'{"unit":"a","epoch":1,"index":0}',
                      b'{"unit":"a","epoch":"1","index":0,"total":1}'):
            self.records.append((0, 1000, None, value))
            self.red("is not tagged")
            self.records.pop()


class Usage(Folder):
    def test_bad_usage_is_a_sentence(self):
        for arguments in ([], ["--ledger", "x"], ["--expect", "x"], ["--check-fragments", "--units", "x"],
                          ["--units", "x", "--id", "nothing"], ["--output", "x", "--expected", "x", "--history", "x"],
                          ["--output", self.folder], ["--output", self.folder, "--expected", self.folder]):
            with self.subTest(arguments=arguments), self.assertRaises(InputError):
                verify.main(arguments)

    def test_an_unknown_option_exits_with_2(self):
        with self.assertRaises(SystemExit) as stop, contextlib.redirect_stderr(io.StringIO()):
            verify.main(["--nothing"])
        self.assertEqual(stop.exception.code, 2)

    def test_an_undefined_input_is_not_verified(self):
        self.write("in/a", event() + b"\n" + event(amount="1"))
        with self.assertRaises(InputError):
            verify.main(["--history", self.path("in"), "--output", self.folder])


if __name__ == "__main__":
    unittest.main()
