"""Has the host give this machine all of its memory, before something is measured.

Why    Memory of a virtual machine that was never used, or lies free for a few seconds, is the host's. Whoever touches it first pays
       for bringing it back: 7 to 18 us a page of 4 KiB, so up to 7 s of CPU for 2 GB where clearing them takes 0.3. It is a
       quarter of all that the main job uses, once in a row of runs and not in the next one. A machine that has been in use for a
       day knows no such pages: its free memory holds files that were read.
What   take() has a process write to memory until hardly any is free, and hold it. From then on it gives back as much as others
       take: what they get was in use until a moment ago. The next take() fills what has become free. The process ends with
       this one; if memory is short, it is the first to be killed.
Where  A processor says that it is virtual ("hypervisor"); on one that does not, nothing is done.
Limits A minute the first time, where a machine has 24 GB, then what was freed since. Whoever takes more than LITTLE within PERIOD_S
       waits for the kernel to find some.
"""

import mmap
import pathlib
import re
import select
import subprocess
import sys

PIECE = 128 << 20
LITTLE = 512 << 20
PERIOD_S = 0.05


def is_virtual():
    return re.search(r"^flags\s.*\bhypervisor\b", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M) is not None


def free_memory():
    """Bytes."""
    return int(re.search(r"^MemFree:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)[1]) << 10


def written_memory():
    """In huge pages, since those who have much memory want it so."""
    piece = mmap.mmap(-1, PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    piece.madvise(mmap.MADV_HUGEPAGE)
    for at in range(0, PIECE, mmap.PAGESIZE):
        piece[at] = 1
    return piece


class Held:
    """Memory that others may have."""

    def __init__(self):
        self.pieces = []

    def fill(self):
        while free_memory() >= LITTLE + PIECE:
            self.pieces.append(written_memory())

    def give_back(self):
        while self.pieces and free_memory() < LITTLE:
            self.pieces.pop().close()


def hold(asked, told):
    """Fills at each line of `asked`, tells when it is done, and gives back in between. Until `asked` ends."""
    held = Held()
    while True:
        if not select.select([asked], [], [], PERIOD_S)[0]:
            held.give_back()
        elif asked.readline():
            held.fill()
            print("full", file=told, flush=True)
        else:
            return


_holder = None


def take():
    """Before each run: what the last one had is free again."""
    global _holder
    if not is_virtual():
        return
    if _holder is None:
        _holder = subprocess.Popen([sys.executable, __file__], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    _holder.stdin.write("fill\n")
    _holder.stdin.flush()
    if not _holder.stdout.readline():
        raise RuntimeError("what holds the memory has ended: is other work going on that takes all of it?")


if __name__ == "__main__":
    pathlib.Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    hold(sys.stdin, sys.stdout)
