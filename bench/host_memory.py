"""Has the host give this machine all of its memory, before something is measured.

Why    Memory of a virtual machine that was never used, or lies free for a few seconds, is the host's. Whoever touches it first pays
       for bringing it back: 2 us a page of 4 KiB, so 4.3 s of CPU for 2 GB where clearing them takes 0.2 to 0.8. It is a
       quarter of all that the main job uses, once in a row of runs and not in the next one. A machine that has been in use for a
       day knows no such pages: its free memory holds files that were read.
What   take() reads a file without blocks, which costs the disk nothing, until hardly any memory is free, or no less than before.
       What needs memory then has it from there. The file is gone with this process.
Where  A processor says that it is virtual ("hypervisor"); on one that does not, nothing is done.
Limits As much is read as the machine has memory, at most; half a minute the first time, then a second for each 2 GB.
"""

import os
import pathlib
import re
import tempfile

BUILD = pathlib.Path(__file__).resolve().parents[1] / "build"
PIECE = 1 << 20
ROUND = 64 * PIECE
LITTLE = 256 << 20  # below it the kernel takes pages from files; sometimes it begins before
VAIN_ROUNDS = 3     # as much is free behind each of them as before it: it has begun
LONGEST = 4 << 40   # of the file; then it begins anew, where nothing is remembered any more


def is_virtual():
    return re.search(r"^flags\s.*\bhypervisor\b", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M) is not None


def memory(name):
    """Bytes; "MemFree", "MemTotal"."""
    return int(re.search(rf"^{name}:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)[1]) << 10


class Taken:
    """Memory that is full of a file which has none but holes."""

    def __init__(self, folder):
        self.file, self.at, self.piece = tempfile.TemporaryFile(dir=folder), 0, bytearray(PIECE)
        os.ftruncate(self.file.fileno(), LONGEST)

    def fill(self):
        until, vain, free = self.at + memory("MemTotal"), 0, memory("MemFree")
        while self.at < until and free > LITTLE and vain < VAIN_ROUNDS:
            for _ in range(ROUND // PIECE):
                os.preadv(self.file.fileno(), [self.piece], self.at % LONGEST)
                self.at += PIECE
            before, free = free, memory("MemFree")
            vain = vain + 1 if free > before - ROUND // 2 else 0


_taken = None


def take():
    """Before each run: what the last one had is free again."""
    global _taken
    if not is_virtual():
        return
    if _taken is None:
        BUILD.mkdir(exist_ok=True)
        _taken = Taken(BUILD)
    _taken.fill()
