"""bench/host_memory.py: what lies free is held before something is measured, given back as others take it, and only where a host could
have it."""
import os
import pathlib
import sys
import threading
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import host_memory  # noqa: E402

MB = 1 << 20
WAIT_S = 30


class Machine:
    """Memory that is free, and what others have of it; pieces are taken from it and come back."""

    def __init__(self, free_mb):
        self.free = free_mb * MB

    def free_memory(self):
        return self.free

    def written_memory(self):
        self.free -= host_memory.PIECE
        return self

    def close(self):
        self.free += host_memory.PIECE


class HostMemoryTest(unittest.TestCase):
    def machine(self, free_mb):
        machine = Machine(free_mb)
        for name in ("free_memory", "written_memory"):
            patch = mock.patch.object(host_memory, name, getattr(machine, name))
            patch.start()
            self.addCleanup(patch.stop)
        return machine

    def test_it_ends_when_little_is_free(self):
        machine, held = self.machine(free_mb=2000), host_memory.Held()
        held.fill()
        self.assertEqual((machine.free, len(held.pieces)), ((2000 - 11 * 128) * MB, 11))

    def test_where_little_is_free_nothing_is_held(self):
        machine, held = self.machine(free_mb=600), host_memory.Held()
        held.fill()
        self.assertEqual((machine.free, held.pieces), (600 * MB, []))

    def test_as_much_is_given_back_as_others_take(self):
        machine, held = self.machine(free_mb=2000), host_memory.Held()
        held.fill()
        machine.free -= 200 * MB
        held.give_back()
        self.assertEqual((machine.free, len(held.pieces)), ((592 - 200 + 128) * MB, 10))
        held.give_back()
        self.assertEqual(len(held.pieces), 10)

    def test_who_holds_nothing_more_gives_nothing_back(self):
        machine, held = self.machine(free_mb=700), host_memory.Held()
        held.fill()
        machine.free = 0
        held.give_back()
        self.assertEqual((machine.free, held.pieces), (128 * MB, []))

    def test_what_has_become_free_is_held_again(self):
        machine, held = self.machine(free_mb=1000), host_memory.Held()
        held.fill()
        machine.free += 256 * MB
        held.fill()
        self.assertEqual(len(held.pieces), 5)

    def test_it_fills_when_asked_gives_back_in_between_and_ends_with_who_asks(self):
        machine = self.machine(free_mb=1000)
        (asked, ask), (answer, told) = os.pipe(), os.pipe()
        with open(asked, encoding="ascii") as asked, open(ask, "w", encoding="ascii") as ask, \
                open(answer, encoding="ascii") as answer, open(told, "w", encoding="ascii") as told, \
                mock.patch.object(host_memory, "PERIOD_S", 0.001):
            holder = threading.Thread(target=host_memory.hold, args=(asked, told))
            holder.start()
            print("fill", file=ask, flush=True)
            self.assertEqual(answer.readline(), "full\n")
            self.assertEqual(machine.free, (1000 - 3 * 128) * MB)
            machine.free -= 200 * MB
            given = threading.Event()
            with mock.patch.object(machine, "close", side_effect=lambda: given.set() or Machine.close(machine)):
                self.assertTrue(given.wait(WAIT_S))
            print("fill", file=ask, flush=True)
            self.assertEqual(answer.readline(), "full\n")
            ask.close()
            holder.join(WAIT_S)
            self.assertFalse(holder.is_alive())

    def test_a_piece_is_memory_that_was_written(self):
        with mock.patch.object(host_memory, "PIECE", 2 * MB):
            piece = host_memory.written_memory()
        self.assertEqual((len(piece), piece[0], piece[2 * MB - 4096]), (2 * MB, 1, 1))
        piece.close()

    def test_a_processor_of_its_own_is_left_alone(self):
        with mock.patch.object(host_memory, "is_virtual", lambda: False), mock.patch.object(host_memory.subprocess, "Popen") as made:
            host_memory.take()
        made.assert_not_called()

    def taking(self, answer):
        """The process that holds memory, a pretended one."""
        for patch in (mock.patch.object(host_memory, "is_virtual", lambda: True), mock.patch.object(host_memory, "_holder", None)):
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(host_memory.subprocess, "Popen")
        made = patch.start()
        self.addCleanup(patch.stop)
        made.return_value.stdout.readline.return_value = answer
        return made

    def test_each_time_the_same_process_is_asked(self):
        made = self.taking("full\n")
        host_memory.take()
        host_memory.take()
        made.assert_called_once()
        self.assertEqual(made.return_value.stdin.write.call_count, 2)

    def test_a_holder_that_has_ended_is_an_error(self):
        self.taking("")
        with self.assertRaisesRegex(RuntimeError, "what holds the memory has ended"):
            host_memory.take()


if __name__ == "__main__":
    unittest.main()
