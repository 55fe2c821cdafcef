"""A job whose n-th call of a kind fails, for every n until there is none, in RocksDB and the C library, too.

What   file_count runs with preload/fail_call.c: its n-th malloc, open, read, write, fsync, rename, link or connect
       fails. It either goes on and ends well, or ends with a sentence that names what failed; without memory it aborts
       with words. Nothing hangs. Started again with nothing in its way, it ends with exactly the output that it has
       without a fault, and a checkpoint that verifies: fault_cells.py judges that.
How    Every n. Of memory there are thousands, so each call fails in a fork, which dies of it with words or goes on
       (preload/fail_call.c). What has died there is a kill at that moment, and how a job comes back from that is the
       fault matrix's business. Some of those that went on, and some of all, are made to fail in the program itself
       (WEIR_TEST_LONG=1: more of them). The simulator does the same with the engine's own calls of the disk, and with
       lost power (test/sim/exhaustive_test.c). WEIR_FAIL_CALL=kind:n: only this one, and its directory stays; the kind
       `each` is malloc in the job that forks. A red call prints the command that repeats it.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from fault_cells import Broken, Cell, Clustered, Files, Input  # noqa: E402
from seed import again  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
AT_ONCE = 4
BEHIND = 8  # so many in a row that were not reached: there are no more
# kind: (stride, stride of the long test, at least so many calls were made to fail)
KINDS = {"fsync": (1, 1, 20), "rename": (1, 1, 10), "link": (1, 1, 5), "open": (1, 1, 30), "read": (1, 1, 20),
         "write": (1, 1, 30), "malloc": (997, 29, 5), "connect": (1, 1, 2)}
LANES = 2           # EACH_LANES of the preload
EACH_LIMIT_S = 600  # of a job that forks at each of its calls for memory
EACH_LEAST = 1000   # of them there are more
WENT_ON_MAX = 1000 if IS_LONG else 8
NO_MEMORY = ("memory ran out", "std::bad_alloc", "Cannot allocate memory", "cannot allocate memory", "out of memory",
             "Resource temporarily unavailable")  # the last: a thread that has no stack


def read_only(text):
    """(kind, n), None without a wish, or SystemExit with a sentence."""
    if text is None:
        return None
    kind, _, nth = text.partition(":")
    if kind not in (*KINDS, "each") or not (nth.isascii() and nth.isdigit() and int(nth) > 0):
        sys.exit(f"WEIR_FAIL_CALL is '{text}'; it is kind:n, n from 1, and a kind of {', '.join(KINDS)}, each")
    return kind, int(nth)


ONLY = read_only(os.environ.get("WEIR_FAIL_CALL"))


def build():
    library = program.BUILD / "e2e" / "fail_call.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    source = HERE / "preload" / "fail_call.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        aside = library.with_suffix(f".{os.getpid()}")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
                        "-D_GNU_SOURCE", "-o", aside, source, "-ldl"], check=True, timeout=60)
        aside.rename(library)
    return library


def is_of_rocksdb(status, library):
    """RocksDB 7.8 does not look at what posix_memalign gives it for its arenas."""
    return status == -signal.SIGSEGV and "librocksdb.so" in library


class Called(Cell):
    """The first life has the failing call, the next ones have nothing in their way."""

    def __init__(self, setting, kind, nth, library):
        super().__init__(setting, kind, "call", "error", nth)
        self.library = library
        self.name = f"{kind}-{nth}"

    def environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_FAULT")}
        if not self.lives:
            env.update(LD_PRELOAD=os.fspath(self.library), FAIL_CALL=f"{self.step}:{self.nth}:{self.directory.parent}",
                       FAIL_CALL_LOG=os.fspath(self.directory / "failed"))
        return env

    def was_reached(self):
        return (self.directory / "failed").exists()

    def judge_status(self, status, path):
        said = path.read_text(errors="backslashreplace")
        if len(self.lives) > 1:
            raise Broken(f"with nothing in its way it ended with {status}\n{self.said()}")
        if self.step == "malloc" and (any(words in said for words in NO_MEMORY) or
                                      is_of_rocksdb(status, (self.directory / "failed").read_text())):
            return
        if status < 0 or not re.search(r"^file-count: .{20}", said, re.MULTILINE):
            raise Broken(f"it ended with {status}, and says nothing of why\n{self.said()}")

    def run(self, root):
        """True: there was such a call."""
        self.directory = pathlib.Path(root) / f"{self.setting.name}-{self.name}"
        self.directory.mkdir()
        self.setting.live(self)
        reached = self.was_reached()
        self.setting.judge(self)
        if ONLY is None:
            shutil.rmtree(self.directory)
        return reached


class Calm(Files):
    """With few checkpoints: a fork at each call slows the job down, not the clock."""

    def argv(self, cell):
        words = super().argv(cell)
        words[words.index("--checkpoint-interval") + 1] = "1s"
        return words


class Forked(Called):
    """The first life forks at every call for memory of its lane: see preload/fail_call.c."""

    def __init__(self, setting, lane, library):
        super().__init__(setting, "each", lane, library)

    def end_of(self, process):
        return process.wait(EACH_LIMIT_S)

    def run(self, root):
        """Lines of the log, split: call, what became of it, status, library, words."""
        self.directory = pathlib.Path(root) / f"{self.setting.name}-{self.name}"
        self.directory.mkdir()
        self.setting.live(self)
        self.setting.judge(self)
        lines = (self.directory / "failed").read_text(errors="backslashreplace").splitlines()
        shutil.rmtree(self.directory)
        return [line.split(" ", 4) for line in lines]


class FailCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        memory = pathlib.Path("/dev/shm")
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="weir-calls-",
                                                 dir=memory if os.access(memory, os.W_OK) else None))
        if ONLY is None:
            cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.library = build()
        given = Input(cls.root / "in", 400, seed=1)
        local = Files("local", given, pause_us=500)
        cls.settings = {kind: local for kind in KINDS}
        cls.settings["connect"] = Clustered("cluster", given)  # in each of its processes
        cls.small = Calm("small", Input(cls.root / "few", 30, seed=2), parallelism=1, pause_us=500)

    def each(self, kind):
        stride, long_stride, least = KINDS[kind]
        stride = long_stride if IS_LONG else stride
        broken, reached, begun = [], 0, time.monotonic()

        def run(nth):
            try:
                return Called(self.settings[kind], kind, nth, self.library).run(self.root)
            except Broken as wrong:
                broken.append(f"== repeat: {again(self.id(), WEIR_FAIL_CALL=f'{kind}:{nth}')}\n{wrong}")
                return True
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            first = 1
            while True:
                found = list(pool.map(run, range(first, first + BEHIND * stride, stride)))
                reached += sum(found)
                first += BEHIND * stride
                if not any(found) or len(broken) > 8:
                    break
        print(f"{kind}: {reached} calls failed, each in a run of its own, {time.monotonic() - begun:.1f} s",
              file=sys.stderr)
        self.assertEqual(len(broken), 0, f"{len(broken)} of {reached}:\n" + "\n".join(broken[:4]))
        self.assertGreaterEqual(reached, least)

    def test_whatever_is_out_of_memory_says_so_and_dies_or_goes_on(self):
        if ONLY is not None:
            self.skipTest("only one call is wanted")
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            lanes = list(pool.map(lambda lane: Forked(self.small, lane, self.library).run(self.root), range(1, LANES + 1)))
        rows = sorted((row for lane in lanes for row in lane), key=lambda row: int(row[0]))
        went_on = [int(row[0]) for row in rows if row[1] == "went-on"]
        silent = [int(row[0]) for row in rows if row[1] == "died" and not is_of_rocksdb(int(row[2]), row[3]) and
                  not any(text in row[4] for text in NO_MEMORY)]
        print(f"each malloc: {len(rows)} calls failed, each in a process of its own; {len(went_on)} went on, {len(silent)} "
              f"died without words, {time.monotonic() - begun:.1f} s", file=sys.stderr)
        self.assertGreater(len(rows), EACH_LEAST)
        self.assertLess(len(silent), len(rows) // 100)
        # A fork has lost the other threads, and may die of that: the program itself has them.
        for call in silent + went_on[::max(1, len(went_on) // WENT_ON_MAX)]:
            try:
                Called(self.small, "malloc", call, self.library).run(self.root)
            except Broken as wrong:
                test = "test_fail_calls.FailCalls.test_the_job_survives_each_call_that_fails"
                self.fail(f"repeat: {again(test, WEIR_FAIL_CALL=f'each:{call}')}\n{wrong}")

    def only(self, kind, nth):
        print(f"in {self.root}", file=sys.stderr)
        one = (Called(self.small, "malloc", nth, self.library) if kind == "each" else
               Called(self.settings[kind], kind, nth, self.library))
        self.assertTrue(one.run(self.root), f"there is no {kind} {nth}: the job made fewer")

    def test_the_job_survives_each_call_that_fails(self):
        if ONLY is not None:
            self.only(*ONLY)
            return
        for kind in KINDS:
            with self.subTest(kind):
                self.each(kind)


if __name__ == "__main__":
    unittest.main()
