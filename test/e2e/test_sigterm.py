"""SIGTERM and SIGINT stop a job in good order; a second one quits at once; what was left is resumed exactly.

What   jobs/steady.c makes numbered records at a steady rate, is stopped at many moments, and goes on, also
       with another parallelism. At the end every record is there once and counted once. userprofile reading
       files is stopped and resumed in the same way, and judged by the oracle.
How    Without Kafka. A job that is hard to stop is one whose records take seconds (--nap).
"""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from program import ProgramTest  # noqa: E402

STOPPING = "stopping with a last checkpoint"
AT_ONCE_S = 5  # a second of patience, and a machine under load


class Stop(ProgramTest):
    COUNT = 20_000

    def steady(self, *options, interval="100ms"):
        return self.start("steady", "--count", self.COUNT, "--output", self.output, "--checkpoints",
                          self.checkpoints, "--checkpoint-interval", interval, *options)

    def assert_finishes(self, *options):
        said = self.assert_well(self.steady(*options).end())
        self.assertIn("FINISHED", said)
        program.check_steady(self.output, self.COUNT)
        return said

    def test_both_signals_stop_with_a_last_checkpoint_and_a_resume_goes_on_from_it(self):
        records = 0
        for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
            running = self.steady("--rate", "4000")
            running.wait_for(" completed in", count=2)
            said = self.assert_well(running.end(number))
            self.assertIn(f"{name}: {STOPPING}", said)
            self.assertGreaterEqual(said[said.index(STOPPING):].count(" completed in"), 1)
            now = program.check_steady(self.output, None)
            self.assertGreater(now, records)
            self.assertLess(now, self.COUNT)
            records = now
        self.assertIn("starts from checkpoint", self.assert_finishes())

    def test_all_output_up_to_the_stop_is_published_also_without_a_checkpoint_before(self):
        running = self.steady("--rate", "4000", "--tell", interval="0")
        running.wait_for("reached 1000\n")
        self.assert_well(running.end(signal.SIGTERM))
        self.assertGreater(program.check_steady(self.output, None), 500)
        self.assert_finishes()

    def test_a_stop_at_any_moment_loses_nothing(self):
        for i in range(12):
            running = self.steady("--rate", "4000", "--parallelism", str(1 + i % 3))
            time.sleep(0.03 * i)
            result = running.end(signal.SIGTERM)
            # Before the signals are watched there is nothing to stop: it ends as any program does.
            self.assertIn(result.status, (0, -signal.SIGTERM) if i < 4 else (0,), result.err)
            program.check_steady(self.output, None)
        self.assert_finishes("--parallelism", "2")

    def test_a_job_without_checkpoint_directory_publishes_what_it_has_and_leaves_nothing_behind(self):
        temporary = self.directory / "tmp"
        temporary.mkdir()
        running = self.start("steady", "--count", self.COUNT, "--rate", "4000", "--tell", "--output",
                             self.output, env={**os.environ, "TMPDIR": str(temporary)})
        running.wait_for("reached 1000\n")
        self.assert_well(running.end(signal.SIGTERM))
        self.assertGreater(program.check_steady(self.output, None), 500)
        self.assertEqual(list(temporary.iterdir()), [])

    def test_one_signal_that_arrives_twice_is_one(self):
        running = self.steady("--rate", "4000")
        running.wait_for(" completed in")
        running.process.send_signal(signal.SIGTERM)  # as timeout(1) does: to the process, and to its group
        self.assert_well(running.end(signal.SIGTERM))
        self.assert_finishes()

    def test_the_stop_of_a_job_that_is_about_to_end_is_its_end(self):
        for delay_s in (0.0, 0.05, 0.1, 0.2):
            running = self.steady()
            time.sleep(delay_s)
            result = running.end(signal.SIGTERM)
            self.assertIn(result.status, (0, -signal.SIGTERM), result.err)
        self.assert_finishes()


class Quit(ProgramTest):
    """A job that cannot stop soon, because its operator is busy with a few records for long."""

    def slow(self, nap="10s", *options):
        running = self.start("steady", "--count", "4", "--nap", nap, "--tell", "--output", self.output,
                             "--checkpoints", self.checkpoints, *options)
        running.wait_for("reached 0\n")  # and naps
        return running

    def assert_at_once(self, running, number, status):
        started = time.monotonic()
        result = running.end(number)
        self.assert_ended(result, status)
        self.assertLess(time.monotonic() - started, AT_ONCE_S)
        return result.err

    def test_a_second_signal_quits_at_once_and_the_next_start_goes_on_exactly(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            running = self.slow()
            running.process.send_signal(signal.SIGTERM)
            running.wait_for(STOPPING)
            time.sleep(0.2)
            self.assertIsNone(running.process.poll())
            self.assertIn("again: quit at once", self.assert_at_once(running, number, status))
        self.assert_well(program.run("steady", "--count", "4", "--output", self.output, "--checkpoints",
                                     self.checkpoints))
        program.check_steady(self.output, 4)

    def test_a_stop_that_takes_too_long_is_given_up_and_says_what_holds(self):
        running = self.slow("1s", "--stop-timeout", "500ms")
        result = running.end(signal.SIGTERM)
        self.assert_refused(result, program.EXIT["timeout"], "did not stop in good order within 0.5 s",
                            "--stop-timeout", "a new start begins anew")
        self.assert_well(program.run("steady", "--count", "4", "--output", self.output, "--checkpoints",
                                     self.checkpoints))
        program.check_steady(self.output, 4)


class StopUserprofile(ProgramTest):
    def test_a_job_reading_files_is_stopped_and_resumed_to_the_exact_profiles(self):
        history, metrics = self.directory / "in", self.directory / "metrics.json"
        program.generate_events(history, 120_000, files=4)
        stops = 0
        for i in range(40):
            running = self.start("userprofile", "run", "--history", history, "--output", self.output,
                                 "--checkpoints", self.checkpoints, "--checkpoint-interval", "50ms",
                                 "--emit-interval", "20ms", "--metrics-json", metrics,
                                 "--parallelism", str(1 + i % 2))
            try:
                running.wait_for(" completed in")
            except AssertionError:
                self.assert_well(running.end())
            said = self.assert_well(running.end(signal.SIGTERM))
            if STOPPING not in said:
                break
            stops += 1
        self.assertGreaterEqual(stops, 2)
        self.assertLess(stops, 40)
        program.check_profiles(history, self.output, metrics=metrics)


if __name__ == "__main__":
    unittest.main()
