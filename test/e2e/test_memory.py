"""--memory is a ceiling: a job with several times more state than memory stays below it, whatever is hot.

What   jobs/large.c keeps a page of random bytes of each user, more than 300 MB, with --memory 64MB: every record of
       the user that is coldest; most records of a few users; and again after a restore with another
       parallelism. Each run must end by itself, have found every page as it was, and never have had more
       than the ceiling and SLACK in memory, by the kernel's own high-water mark. The job's connectors
       (generator, print) need nothing worth mentioning.
How    python3 test/e2e/test_memory.py, about 30 s
"""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from program import ProgramTest  # noqa: E402

MEMORY = 64 << 20
SLACK = 64 << 20
USERS = 600_000
PAGE = 512


class Memory(ProgramTest):
    def large(self, count, *arguments):
        """Runs to record `count`; returns what the run's metrics say."""
        metrics = self.directory / "metrics.json"
        result = program.run("large", "run", "--checkpoints", self.checkpoints, "--checkpoint-interval", "1s",
                             "--users", USERS, "--page", f"{PAGE}B", "--count", count, "--from", count,
                             "--memory", f"{MEMORY}B", "--metrics-json", metrics, *arguments)
        self.assert_well(result)
        said = json.loads(metrics.read_text())
        self.assertEqual(said["events_in"], count)
        self.assertEqual(said["counters"]["recall"]["wrong"], 0)
        self.assertLessEqual(said["peak_rss_bytes"], MEMORY + SLACK)
        return said

    def test_cold_keys_stay_below_the_ceiling_and_so_does_a_restore(self):
        said = self.large(USERS + 50_000)
        self.assertGreater(said["checkpoints"]["last_bytes"], 4 * MEMORY)
        self.large(USERS + 100_000, "--parallelism", 2)
        self.large(USERS + 150_000, "--parallelism", 1)

    def test_hot_keys_stay_below_the_ceiling(self):
        self.large(5 * USERS, "--hot", 20_000)

    def test_plain_rocksdb_stays_below_the_ceiling(self):
        self.large(USERS // 4, "--state-backend", "rocksdb-uncached")


if __name__ == "__main__":
    unittest.main()
