"""The soak judges leaks rightly: synthetic series that leak are red, noisy ones that do not are green; and a short soak runs.

How    Series are made from a seed, as they would be sampled every ten seconds for two hours. The short soak is soak.py itself, of
       some seconds and few faults: it shows that all of it works, not that nothing leaks; that takes make soak.
"""

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import gauges  # noqa: E402
import leaks  # noqa: E402
import soak  # noqa: E402
from program import ProgramTest  # noqa: E402
from seed import SEED  # noqa: E402

MIB = 1 << 20
PERIOD_S, SAMPLES = 10, 720
END_LIMIT_S = 300


def series(values_of_lives, unit="bytes", warm_up_s=60.0):
    """Lives follow one another."""
    made, at = leaks.Series("made", unit, warm_up_s), 0
    for life, values in enumerate(values_of_lives):
        for value in values:
            made.add(life, at, value)
            at += PERIOD_S
    return made


class Judge(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)

    def noisy(self, count=SAMPLES, level=60 * MIB, rise=0.0):
        """Noise of half a MiB; a sample in ten is far off, as in a restart."""
        for at in range(count):
            value = level + rise * at / count + self.random.gauss(0, MIB / 2)
            yield value + self.random.choice((-1, 1)) * 30 * MIB if self.random.random() < 0.1 else value

    def assert_well(self, is_well, made):
        verdict = leaks.judge(made)
        self.assertTrue(verdict.is_judged)
        self.assertEqual(verdict.is_well, is_well, leaks.table([verdict]))

    def test_noise_without_a_slope_is_green(self):
        for _ in range(2):
            self.assert_well(True, series([self.noisy()]))

    def test_a_leak_of_two_mebibytes_an_hour_is_red_below_the_noise(self):
        for _ in range(2):
            self.assert_well(False, series([self.noisy(rise=4.5 * MIB)]))

    def test_a_leak_in_lives_that_are_short_is_red(self):
        self.assert_well(False, series([self.noisy(60, rise=6 * MIB) for _ in range(12)]))

    def test_lives_of_different_sizes_are_not_compared(self):
        self.assert_well(True, series([self.noisy(60, level=(20 + 10 * life) * MIB) for life in range(12)]))

    def test_a_descriptor_lost_at_every_fault_is_red(self):
        self.assert_well(False, series([[30 + at // 60 for at in range(SAMPLES)]], "fds"))
        self.assert_well(True, series([[30 + (at // 60) % 3 for at in range(SAMPLES)]], "fds"))

    def test_files_that_are_compacted_now_and_then_are_green_and_those_never_deleted_red(self):
        tooth = [(20 + at % 90 / 9) * MIB for at in range(SAMPLES)]
        self.assert_well(True, series([tooth], "disk"))
        self.assert_well(False, series([[value + at * MIB / 90 for at, value in enumerate(tooth)]], "disk"))

    def test_files_of_a_store_that_come_and_go_are_green_and_one_lost_every_minute_is_red(self):
        tooth = [27 + 2 * (at % 15) for at in range(170)]
        self.assert_well(True, series([tooth], "files"))
        self.assert_well(False, series([[value + at // 4 for at, value in enumerate(tooth)]], "files"))

    def test_what_fills_a_cache_at_first_is_green(self):
        filling = [60 * MIB - max(0, 30 - at) * MIB for at in range(SAMPLES)]
        self.assert_well(True, series([filling], warm_up_s=300))

    def test_too_short_a_series_is_not_judged_and_says_so(self):
        verdict = leaks.judge(series([range(8)], "fds", warm_up_s=0))
        self.assertFalse(verdict.is_judged)
        self.assertIn("too short", leaks.table([verdict]))

    def test_memory_that_grows_with_every_attempt_is_red(self):
        for each, is_well in ((0, True), (40 << 10, False)):
            made = leaks.Series("made", "bytes", over="attempts")
            for at in range(200):
                made.add(1, at // 2, 10 * MIB + at // 2 * each + self.random.randrange(100_000))
            self.assert_well(is_well, made)

    def test_a_transaction_hangs_when_what_is_stable_stands_still(self):
        asked = gauges.Gauges(None, None, None)

        def is_hanging(at, stable, high):
            return asked.is_hanging(at, "profiles", {"stable": stable, "high": high})
        self.assertFalse(is_hanging(0, 5, 9))
        self.assertFalse(is_hanging(gauges.HANGING_S, 5, 9))
        self.assertTrue(is_hanging(gauges.HANGING_S + 1, 5, 9))
        self.assertFalse(is_hanging(gauges.HANGING_S + 2, 6, 9))
        self.assertFalse(is_hanging(3 * gauges.HANGING_S, 6, 6))

    def test_what_is_drawn_and_written_has_every_sample(self):
        made = series([self.noisy(20), self.noisy(30)])
        self.assertEqual(len(leaks.tsv([made]).splitlines()), 51)
        self.assertEqual(leaks.svg([made], [(100, "a <fault>")]).count("<polyline"), 2)


class Soak(ProgramTest):
    def test_options_that_make_no_sense_are_refused(self):
        for options in (("--minutes", "long"), ("--minutes", "-1"), ("--sample", "0"), ("--brokers", "2"), ("now",)):
            said = io.StringIO()
            with self.subTest(options), contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as refused:
                soak.parse(options)
            self.assertEqual(refused.exception.code, 2)
            self.assertIn("usage:", said.getvalue())

    def test_a_directory_with_other_things_is_not_deleted_for_the_report(self):
        here = self.directory / "mine"
        here.mkdir()
        (here / "report.txt").write_text("of an earlier soak")
        self.assertEqual(soak.parse(["--out", str(here)]).out, here)
        (here / "thesis.txt").write_text("ten years")
        for out in (here, here / "thesis.txt"):
            said = io.StringIO()
            with self.subTest(out), contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as refused:
                soak.parse(["--out", str(out)])
            self.assertEqual(refused.exception.code, 2)
            self.assertIn("give a new directory", said.getvalue())

    def test_a_short_soak_that_is_stopped_reports_what_it_has_seen(self):
        broker.or_skip(broker.require_tools)
        out = self.directory / "out"
        argv = [sys.executable, soak.__file__, "--minutes", "3", "--sample", "2", "--fault-interval", "0.2", "--out", out]
        with broker.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
            said = b""
            for line in running.stdout:
                said += line
                if b" s  " in line:  # the first fault has come, and was recovered from
                    break
            running.send_signal(signal.SIGINT)
            said = (said + running.communicate(timeout=END_LIMIT_S)[0]).decode()
        self.assertEqual(running.returncode, 130, said)
        self.assertIn("green", said)
        self.assertGreater(len((out / "series.tsv").read_text().splitlines()), 50)
        self.assertFalse((out / "run").exists())  # it went well


if __name__ == "__main__":
    unittest.main()
