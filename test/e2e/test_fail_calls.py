"""A job whose n-th call of a kind fails, for every n until there is none, in RocksDB and the C library, too.

What   file_count runs with preload/fail_call.c: its n-th malloc, open, read, write, fsync, rename, link or connect
       fails. It either goes on and ends well, or ends with a sentence that names what failed; without memory it aborts
       with words. Nothing hangs. Started again with nothing in its way, it ends with exactly the output that it has
       without a fault, and a checkpoint that verifies: fault_cells.py judges that.
How    Every n, or with a stride where there are thousands; WEIR_TEST_LONG=1 leaves none out of the files, and takes
       smaller strides elsewhere. The simulator does the same with the engine's own calls, each of them, and with
       lost power (test/sim/exhaustive_test.c). WEIR_FAIL_CALL=kind:n: only this one, and its directory stays.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program  # noqa: E402
from fault_cells import Broken, Cell, Clustered, Files, Input  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
ONLY = os.environ.get("WEIR_FAIL_CALL")
AT_ONCE = 4
BEHIND = 8  # so many in a row that were not reached: there are no more
# kind: (stride, stride of the long test, at least so many calls were made to fail)
KINDS = {"fsync": (1, 1, 20), "rename": (1, 1, 10), "link": (1, 1, 5), "open": (2, 1, 30), "read": (1, 1, 20),
         "write": (1, 1, 30), "malloc": (211, 29, 20), "connect": (1, 1, 2)}
NO_MEMORY = ("memory ran out", "std::bad_alloc", "Cannot allocate memory", "cannot allocate memory", "out of memory")


def build():
    library = program.BUILD / "e2e" / "fail_call.so"
    source = HERE / "preload" / "fail_call.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        aside = library.with_suffix(f".{os.getpid()}")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
                        "-D_GNU_SOURCE", "-o", aside, source, "-ldl"], check=True, timeout=60)
        aside.rename(library)
    return library


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
        if self.step == "malloc" and any(words in said for words in NO_MEMORY):
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

    def each(self, kind):
        stride, long_stride, least = KINDS[kind]
        stride = long_stride if IS_LONG else stride
        broken, reached, begun = [], 0, time.monotonic()

        def run(nth):
            try:
                return Called(self.settings[kind], kind, nth, self.library).run(self.root)
            except Broken as wrong:
                broken.append(f"== WEIR_FAIL_CALL={kind}:{nth}\n{wrong}")
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

    def test_the_job_survives_each_call_that_fails(self):
        if ONLY is not None:
            kind, nth = ONLY.split(":")
            Called(self.settings[kind], kind, int(nth), self.library).run(self.root)
            print(f"in {self.root}", file=sys.stderr)
            return
        for kind in KINDS:
            with self.subTest(kind):
                self.each(kind)


if __name__ == "__main__":
    unittest.main()
