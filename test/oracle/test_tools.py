"""The makers of test input: repeatable, complete, and as their headers say."""

import collections
import gzip
import os
import subprocess
import sys
import tempfile
import unittest

import inputs
import userprofile
from inputs import Record

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "..", "..", "tools")
sys.path.insert(0, TOOLS)

import generate_events  # noqa: E402 (the path must be set first)
import reviews_to_events  # noqa: E402

REVIEWS = b"reviewerId,vendorId,rating,date\n" + b"".join(
    b"%d,%d,%d,2006-0%d-07 17:08\n" % (i // 2, i % 9, i % 6, i % 9 + 1) for i in range(2000))


def lines_of(generator, indexes):
    return [generator.line(index).encode("utf-8", "surrogateescape") for index in indexes]


def oracle_of(values, **options):
    oracle = userprofile.Oracle(**options)
    for offset, value in enumerate(values):
        oracle.add(Record(b"events", 0, offset, None, value, None))
    return oracle


def run_tool(name, *arguments):
    return subprocess.run([sys.executable, os.path.join(TOOLS, name), *arguments], capture_output=True)


class GenerateEvents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_a_line_depends_on_seed_and_index_only(self):
        first = lines_of(generate_events.Generator(1, 100), range(300))
        again = lines_of(generate_events.Generator(1, 100), reversed(range(300)))
        self.assertEqual(first, again[::-1])
        self.assertNotEqual(first, lines_of(generate_events.Generator(2, 100), range(300)))

    def test_a_range_is_the_same_part_of_the_whole(self):
        whole = run_tool("generate_events.py", "--count", "500", "--users", "50").stdout.split(b"\n")
        part = run_tool("generate_events.py", "--from", "200", "--count", "100", "--users", "50").stdout.split(b"\n")
        self.assertEqual((len(whole), len(part)), (501, 101))
        self.assertEqual(part[:100], whole[200:300])

    def test_default_input_is_well_defined_and_has_everything_in_it(self):
        count = 30_000
        oracle = oracle_of(lines_of(generate_events.Generator(1, 3000), range(count)))
        self.assertEqual(oracle.ambiguities(), [])
        self.assertAlmostEqual(oracle.duplicates_dropped / count, 0.02, delta=0.004)
        self.assertAlmostEqual(sum(oracle.quarantined.values()) / count, 0.005, delta=0.002)
        profiles = oracle.profiles()
        self.assertTrue(any(b'"shared":true' in line for line in profiles.values()))
        users = [yid for yid in profiles if yid.startswith(b"user:")]
        self.assertGreater(len(users), 1000)
        self.assertGreater(len(profiles), len(users))
        changes = sum(len(claims) > 1 for claims in oracle._claims.values())
        self.assertGreater(changes, 100)

    def test_every_reason_occurs(self):
        oracle = oracle_of(lines_of(generate_events.Generator(3, 100, bad_rate=1, duplicate_rate=0), range(3000)))
        for reason, count in oracle.quarantined.items():
            self.assertGreater(count, 0, reason)
        self.assertEqual(sum(oracle.quarantined.values()), 3000)

    def test_without_bad_lines_all_are_valid(self):
        values = lines_of(generate_events.Generator(4, 1000, bad_rate=0, duplicate_rate=0), range(10_000))
        oracle = oracle_of(values)
        self.assertEqual(sum(oracle.quarantined.values()) + oracle.duplicates_dropped, 0)

    def test_only_duplicates_still_end_at_an_original(self):
        self.assertEqual(oracle_of(lines_of(generate_events.Generator(5, 10, 0, 1),
                                            range(50))).counters()["duplicates_dropped"], 49)

    def test_no_line_has_a_line_feed(self):
        generator = generate_events.Generator(6, 100, bad_rate=0.5)
        self.assertFalse([line for line in lines_of(generator, range(5000)) if b"\n" in line])

    def test_users_are_in_range_and_skewed(self):
        for skew in (0, 0.5, 1, 1.5):
            generator = generate_events.Generator(1, 1000, skew=skew)
            seen = collections.Counter(generator.user(word * 0xFFFFFFFF // 20_000) for word in range(20_001))
            self.assertEqual((min(seen), max(seen)), (0, 999))
            self.assertEqual(seen[0] > 2 * seen[500], skew > 0, skew)

    def test_history_files_hold_the_same_lines(self):
        result = run_tool("generate_events.py", "--count", "1000", "--files", "5", "--out", self.folder)
        self.assertEqual((result.returncode, len(os.listdir(self.folder))), (0, 5))
        self.assertTrue(any(name.endswith(".gz") for name in os.listdir(self.folder)))
        values = [record.value for record in inputs.read_history(self.folder)]
        self.assertEqual(values, lines_of(generate_events.Generator(1, 100_000), range(1000)))

    def test_bad_usage_is_refused(self):
        for arguments in (["--users", "0"], ["--count", "-1"], ["--bad-rate", "2"], ["--files", "2"], ["--nothing"],
                          ["--out", "/nonexistent/file"], ["--files", "1", "--out", "/dev/null/x"]):
            result = run_tool("generate_events.py", *arguments)
            self.assertEqual((result.returncode, result.stdout), (2, b""), arguments)


class ReviewsToEvents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, data, name="reviews.csv"):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_every_row_becomes_a_valid_event(self):
        result = run_tool("reviews_to_events.py", self.write(REVIEWS))
        values = result.stdout.splitlines()
        oracle = oracle_of(values, fanout_limit=4)
        self.assertEqual((result.returncode, result.stderr, oracle.counters()["events_in"]), (0, b"", 2000))
        self.assertEqual(oracle.duplicates_dropped + sum(oracle.quarantined.values()), 0)
        self.assertTrue(any(b'"shared":true' in line for line in oracle.profiles().values()))
        self.assertTrue(any(len(claims) > 1 for claims in oracle._claims.values()))

    def test_dates_are_utc_minutes(self):
        for date, ts in (("1970-01-01 00:01", 60_000), ("2006-04-07 17:08", 1144429680000),
                         ("2008-02-29 23:59", 1204329540000)):
            self.assertEqual(reviews_to_events.parse_minutes(date), ts)

    def test_a_limit_takes_the_first_rows(self):
        path = self.write(REVIEWS)
        whole = run_tool("reviews_to_events.py", path).stdout.splitlines()
        self.assertEqual(run_tool("reviews_to_events.py", path, "--limit", "7").stdout.splitlines(), whole[:7])
        self.assertEqual(run_tool("reviews_to_events.py", path, "--limit", "0").stdout, b"")

    def test_unusable_input_is_one_sentence_and_exit_2(self):
        for path in ("/nonexistent", self.write(b"a,b\n1,2\n"), self.write(b"x", "x.bz2"),
                     self.write(gzip.compress(b"x"), "y"),
                     self.write(REVIEWS + b"1,2\n", "short"),
                     self.write(REVIEWS + b"1,2,9,2006-01-01 00:00\n", "rating"),
                     self.write(REVIEWS + b"1,2,3,yesterday\n", "date"), self.write(b"", "empty"), self.folder):
            result = run_tool("reviews_to_events.py", path)
            self.assertEqual((result.returncode, result.stderr.count(b"\n")), (2, 1), (path, result.stderr))


if __name__ == "__main__":
    unittest.main()
