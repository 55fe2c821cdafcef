"""bench/host_memory.py: what lies free is filled before something is measured, no more of it, and only where a host could have it."""
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import host_memory  # noqa: E402

MB = 1 << 20


class HostMemoryTest(unittest.TestCase):
    def taken(self, total_mb, free_mb):
        """How many megabytes are read where each takes as much from what is free."""
        with tempfile.TemporaryDirectory() as folder:
            one = host_memory.Taken(folder)
            self.addCleanup(one.file.close)
            with mock.patch.object(host_memory, "memory", lambda name: {
                    "MemTotal": total_mb, "MemFree": free_mb - one.at // MB}[name] * MB):
                one.fill()
        return one

    def test_it_ends_when_little_is_free(self):
        self.assertEqual(self.taken(total_mb=1000, free_mb=500).at, 256 * MB)

    def test_where_little_is_free_nothing_is_read(self):
        self.assertEqual(self.taken(total_mb=1000, free_mb=250).at, 0)

    def test_no_more_is_read_than_the_machine_has(self):
        with mock.patch.object(host_memory, "LITTLE", -MB << 20):  # as if all that was read were free again at once
            self.assertEqual(self.taken(total_mb=128, free_mb=500).at, 128 * MB)

    def test_it_ends_when_what_is_read_takes_from_what_was_read_and_not_from_what_is_free(self):
        with tempfile.TemporaryDirectory() as folder:
            one = host_memory.Taken(folder)
            self.addCleanup(one.file.close)
            with mock.patch.object(host_memory, "memory",
                                   lambda name: {"MemTotal": 2000, "MemFree": max(500 - one.at // MB, 400)}[name] * MB):
                one.fill()
        self.assertEqual(one.at, (128 + 3 * 64) * MB)

    def test_what_was_read_stays_in_memory_and_takes_no_disk(self):
        one = self.taken(total_mb=1000, free_mb=300)
        self.assertEqual(one.at, 64 * MB)
        self.assertEqual(os.preadv(one.file.fileno(), [bytearray(MB)], MB, os.RWF_NOWAIT), MB)  # EAGAIN if it had to be read
        self.assertEqual(os.fstat(one.file.fileno()).st_blocks, 0)

    def test_it_begins_anew_behind_the_end_of_the_file(self):
        with mock.patch.object(host_memory, "LONGEST", 32 * MB):
            self.assertEqual(self.taken(total_mb=1000, free_mb=300).at, 64 * MB)

    def test_a_processor_of_its_own_is_left_alone(self):
        with mock.patch.object(host_memory, "is_virtual", lambda: False), mock.patch.object(host_memory, "Taken") as made:
            host_memory.take()
        made.assert_not_called()

    def test_each_time_the_same_file_goes_on(self):
        with mock.patch.object(host_memory, "is_virtual", lambda: True), mock.patch.object(host_memory, "_taken", None), \
                mock.patch.object(host_memory, "Taken") as made:
            host_memory.take()
            host_memory.take()
        made.assert_called_once()
        self.assertEqual(made.return_value.fill.call_count, 2)


if __name__ == "__main__":
    unittest.main()
