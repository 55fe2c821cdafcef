"""Every step of the protocol, before and after it, killed, failed and stalled: the job always comes through.

What   base/fault.h names the steps. Each cell (step, end, action) gives one real job that fault; the job is started
       again if it dies, and must come to its end with exactly the output that it has without a fault, a checkpoint
       that verifies, and nothing temporary left. A cell whose fault never fired, or behind which the job did not
       say that it has recovered, is red: so no cell passes because nothing happened.
How    PLAN says in which setting a step is met (fault_cells.py). Cells run four at a time, on a file system in memory
       where there is one: what a sync is for is tested elsewhere (test/sim), here it would only cost time.
       WEIR_TEST_LONG=1: the second and third time that a step is passed, and the hashmap backend, too.
       WEIR_FAULT_CELLS=regular expression: only cells whose names match. A red cell prints the command that repeats it.
"""

import collections
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import fault_cells  # noqa: E402
import kafka_tools  # noqa: E402
from fault_cells import (Broken, Cell, Clustered, Copied, Damaged, Files, Imported, Input, Nested, Operated,  # noqa: E402
                         Stopped)
from seed import SEED, again  # noqa: E402

IS_LONG = os.environ.get("WEIR_TEST_LONG") == "1"
AT_ONCE = 4
NESTED = 400 if IS_LONG else 24

# setting: {step: the time at which it fires}
PLAN = {
    "fresh": {"attempt-claim": 1, "restore-choose": 1, "database-open": 1, "source-poll": 1, "sink-open": 1,
              "deploy-start": 1, "trigger-send": 2, "trigger-receive": 2, "barrier-block": 2, "barrier-align": 3,
              "barrier-send": 2, "snapshot-freeze": 3, "source-snapshot": 2, "sink-snapshot": 2, "timers-flush": 2,
              "state-freeze": 2, "sink-sync": 2, "snapshot-write": 4, "segment-append": 2, "database-freeze": 1,
              "state-file-link": 5, "state-file-sync": 5, "state-file-rename": 5, "state-directory-sync": 3,
              "ack-send": 3, "ack-receive": 3, "checkpoint-publish": 2, "metadata-write": 2, "metadata-sync": 2,
              "metadata-rename": 2, "metadata-directory-sync": 2, "clean": 2, "notify-send": 2, "notify-receive": 3,
              "part-rename": 2, "part-directory-sync": 2, "last-checkpoint": 1, "finish": 1},
    "long": {"store-write": 1, "store-settle": 1, "base-store": 1, "checkpoint-delete": 2, "state-file-delete": 1},
    "resumed": {"restore-read": 1, "source-open": 1, "timers-open": 1, "key-group-split": 1, "segment-replay": 1,
                "state-file-fetch": 1},
    "merged": {"key-group-merge": 1},
    "aborted": {"abort-send": 1, "abort-receive": 1},
    "unaligned": {"overtake-send": 2, "overtake-receive": 3, "barrier-overtake": 2},
    "stopped": {"savepoint-pin": 1, "savepoint-write": 1, "savepoint-entries": 1, "savepoint-metadata": 1,
                "savepoint-rename": 1, "stop-sources": 1},
    "imported": {"import-convert": 1, "import-publish": 1},
    "kafka": {"kafka-init": 1, "kafka-judge": 1, "kafka-begin": 1, "kafka-produce": 1, "kafka-flush": 1,
              "kafka-commit": 1, "kafka-publish": 1, "source-commit": 1},
    "cluster": {"submit-store": 1, "job-start-store": 1, "job-over-store": 1, "election-claim": 1,
                "job-store-write": 1, "blob-store": 1, "jobs-recover": 1, "worker-start": 2, "hello-receive": 1,
                "deploy-send": 1, "deploy-receive": 1, "ack-forward": 2, "ack-arrive": 2},
    "operated": {"rescale-request": 1, "rescale-checkpoint": 1, "rescale-change": 1, "rescale-store": 1,
                 "savepoint-request": 1, "stop-request": 1, "cancel-tasks": 1},
}
# What happens between a start and the first record, where a fault meets a recovery.
RECOVERY = ["attempt-claim", "restore-read", "restore-choose", "state-file-fetch", "database-open",
            "segment-replay", "timers-open", "source-open", "sink-open", "deploy-start", "source-poll"]
# Steps of a fresh start that are passed once a life.
ONCE = {"attempt-claim", "restore-choose", "database-open", "database-freeze", "sink-open", "deploy-start",
        "last-checkpoint", "finish"}
LATER = (1, 2)  # the next times that a step is passed


def read_chosen(text):
    """The expression, or SystemExit with a sentence: a run of no cell would be green."""
    names = [f"nested-{number}" for number in range(NESTED)]
    names += [Cell(None, step, end, action, nth + more).name for steps in PLAN.values() for step, nth in steps.items()
              for end in fault_cells.ENDS for action in fault_cells.ACTIONS for more in (0, *LATER)]
    try:
        chosen = re.compile(text)
    except re.error as error:
        sys.exit(f"WEIR_FAULT_CELLS is '{text}', no regular expression: {error}")
    if not any(chosen.search(name) for name in names):
        sys.exit(f"WEIR_FAULT_CELLS is '{text}', but no cell is called so; they are called as {names[-1]} and {names[0]}")
    return chosen


CHOSEN = read_chosen(os.environ.get("WEIR_FAULT_CELLS", ""))


class FaultMatrix(unittest.TestCase):
    ONLY_ROCKSDB = {"database-open", "database-freeze", "segment-append"}

    @classmethod
    def setUpClass(cls):
        memory = pathlib.Path("/dev/shm")
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="weir-faults-",
                                                 dir=memory if os.access(memory, os.W_OK) else None))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.steps = fault_cells.read_steps()
        cls.given = Input(cls.root / "in", 1500, SEED)
        cls.settings = {
            "fresh": Files("fresh", cls.given),
            "long": Files("long", cls.given, parallelism=1, pause_us=2000),
            "aborted": Files("aborted", cls.given, options=["--checkpoint-timeout", "60ms"]),
            "unaligned": Files("unaligned", cls.given, options=["--aligned-checkpoint-timeout", "0ms"]),
            "stopped": Stopped("stopped", cls.given, pause_us=2000),
            "cluster": Clustered("cluster", cls.given),
            "operated": Operated("operated", cls.given, pause_us=8000),
        }
        cls.settings["resumed"] = Files("resumed", cls.given, first=cls.killed(1))
        cls.settings["merged"] = Files("merged", cls.given, parallelism=1, first=cls.killed(2))
        cls.settings["imported"] = Imported("imported", cls.given, first=cls.saved())

    @classmethod
    def earlier_life(cls, setting, point):
        """The directory of a life that was killed there, or has ended well (None)."""
        cell = Cell(setting, "notify-send", "after", "kill", nth=2)
        cell.directory = cls.root / f"first-{setting.name}"
        cell.directory.mkdir()
        if point is None:
            cell.fault = ""
        process, path = cell.start(setting.argv(cell))
        setting.meet(cell, process, path)
        status = cell.end_of(process)
        if status != (0 if point is None else -signal.SIGKILL):
            raise AssertionError(f"{setting.name} ended with {status}\n{cell.said()}")
        for log in (cell.log, path):
            log.unlink(missing_ok=True)
        return cell.directory

    @classmethod
    def killed(cls, parallelism):
        return cls.earlier_life(Files(f"killed-{parallelism}", cls.given, parallelism=parallelism, pause_us=2000),
                                "notify-send-after")

    @classmethod
    def saved(cls):
        return cls.earlier_life(Stopped("saved", cls.given, pause_us=2000), None)

    # ------------------------------------------------------------ cells

    def cells_of(self, name, setting, times=(0,)):
        found = []
        for step in self.steps:
            if step.name not in PLAN[name]:
                continue
            rules = "snapshot-write-before:2:stall-150" if name == "aborted" else ""
            for more in times:
                found += [Cell(setting, step.name, end, action, PLAN[name][step.name] + more, rules)
                          for end in fault_cells.ENDS for action in fault_cells.ACTIONS
                          if action != "error" or step.can_fail]
        return found

    def run_cells(self, cells):
        """How many there were; the failures of all at once."""
        cells = [cell for cell in cells if CHOSEN.search(cell.name)]
        if not cells:
            self.skipTest(f"no cell of this test is called '{CHOSEN.pattern}'")
        took, broken = {}, []

        def run(cell):
            begun = time.monotonic()
            try:
                cell.run(self.root)
                took[cell] = time.monotonic() - begun
            except Broken as wrong:
                repeat = again(self.id(), WEIR_FAULT_CELLS=f"^{cell.name}$")
                broken.append(f"== {cell.setting.name}, {cell.name}: {cell.fault}\n    repeat: {repeat}\n{wrong}")
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(run, cells))
        self.report(cells, took)
        self.assertEqual(len(broken), 0, f"{len(broken)} of {len(cells)} cells:\n" + "\n".join(broken[:8]))
        return len(took)

    def report(self, cells, took):
        """A line for each step, with the longest time of each end and action."""
        refused = {step.name for step in self.steps if not step.can_fail}
        rows = collections.defaultdict(dict)
        for cell in cells:
            column = rows[cell.step].setdefault((cell.end, cell.action), [])
            column.append(took.get(cell))
        print("seconds of each cell: before kill error stall, after kill error stall (-: returns nothing)",
              file=sys.stderr)
        for step in (step.name for step in self.steps if step.name in rows):
            texts = []
            for where in ((end, action) for end in fault_cells.ENDS for action in fault_cells.ACTIONS):
                times = rows[step].get(where)
                texts.append("MISS" if times and None in times else f"{max(times):.2f}" if times else
                             "-" if where[1] == "error" and step in refused else ".")
            print(f"{step:26}" + "".join(f"{text:>6}" for text in texts), file=sys.stderr)
        count = sum(1 for step in rows if step in refused) * len(fault_cells.ENDS)
        print(f"{len(took)} of {len(cells)} cells hit and recovered, {count} do not apply", file=sys.stderr)

    def test_each_step_is_in_the_plan_and_there_are_enough(self):
        planned = [name for steps in PLAN.values() for name in steps]
        self.assertEqual(sorted(planned), sorted(step.name for step in self.steps))
        self.assertGreaterEqual(len(planned), 50)

    def test_the_judge_sees_what_is_wrong(self):
        """A fault that never fires, a line lost, repeated or left hidden, a torn checkpoint, a rest: each is red."""
        fresh = self.settings["fresh"]

        def lose(cell):
            part = max((cell.directory / "out").iterdir(), key=lambda path: path.stat().st_size)
            part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[1:]))

        def repeat(cell):
            part = max((cell.directory / "out").iterdir(), key=lambda path: path.stat().st_size)
            part.write_bytes(part.read_bytes() + part.read_bytes().splitlines(keepends=True)[0])

        def reorder(cell):
            part = max((cell.directory / "out").glob("count-*"), key=lambda path: path.stat().st_size)
            part.write_bytes(b"".join(reversed(part.read_bytes().splitlines(keepends=True))))

        def hide(cell):
            (cell.directory / "out" / ".left").write_bytes(b"")

        def tear(cell):
            for path in (cell.directory / "checkpoints" / "file-count" / "shared").iterdir():
                path.write_bytes(path.read_bytes()[:-1])

        def leave(cell):
            (cell.directory / "checkpoints" / "file-count" / "shared" / "tmp-1-0123456789abcdef").write_bytes(b"")

        def forget(cell):
            cell.log.write_text(cell.log.read_text().replace("recovered\n", ""))
        for damage, words in ((lose, "lost"), (repeat, "too many"), (reorder, "comes behind"), (hide, "hidden"),
                              (tear, "does not verify"), (leave, "temporary"), (forget, "did not say that it has recovered")):
            cell = Cell(Damaged(fresh, damage), "notify-send", "after", "kill")
            with self.subTest(damage.__name__), self.assertRaisesRegex(Broken, words):
                cell.run(self.root)
        never = Cell(fresh, "import-convert", "before", "kill")
        with self.assertRaisesRegex(Broken, "never passed"):
            never.run(self.root)

    def test_a_local_job_comes_through_each_fault(self):
        names = [name for name in PLAN if name not in ("kafka", "cluster", "operated")]
        cells = []
        for name in names:
            cells += self.cells_of(name, self.settings[name])
        self.run_cells(cells + (self.next_times(self.settings["fresh"]) if IS_LONG else []))

    def next_times(self, setting):
        """The next two times that a step is passed."""
        return [cell for cell in self.cells_of("fresh", setting, LATER) if cell.step not in ONCE]

    def test_a_local_job_on_the_heap_comes_through_each_fault(self):
        if not IS_LONG:
            self.skipTest("only in make test-long")
        for parallelism in (1, 3):
            heap = Files(f"heap-{parallelism}", self.given, parallelism=parallelism, backend="hashmap")
            cells = self.cells_of("fresh", heap) + self.next_times(heap)
            never = self.ONLY_ROCKSDB | ({"barrier-block"} if parallelism == 1 else set())
            self.run_cells([cell for cell in cells if cell.step not in never])

    def test_a_job_is_killed_while_it_recovers_three_deep(self):
        rng = random.Random(SEED)
        running = sorted(PLAN["fresh"].keys() - {"barrier-block"})  # with one subtask there is nothing to wait for
        cells = []
        for number in range(NESTED):
            setting, change = rng.choice((("resumed", "key-group-split"), ("merged", "key-group-merge")))
            steps = [rng.choice(running), *rng.sample([*RECOVERY, change], 3)]
            points = [f"{step}-{rng.choice(fault_cells.ENDS)}" for step in steps]
            if len(set(points)) == len(points):
                cells.append(Nested(self.settings[setting], points, number))
        count = self.run_cells(cells)
        self.assertGreaterEqual(count, 0 if CHOSEN.pattern else NESTED // 2)

    def test_a_cluster_comes_through_each_fault(self):
        self.run_cells([cell for name in ("cluster", "operated") for cell in self.cells_of(name, self.settings[name])])

    def test_a_job_between_topics_comes_through_each_fault(self):
        broker.or_skip(broker.require_tools)
        with broker.Broker("test-faults") as one:
            kafka = kafka_tools.Kafka(one.bootstrap)
            kafka.create_topic("in", partitions=2)
            lines = [f"{number}" for number in range(400)]
            kafka.feed("in", "".join(line + "\n" for line in lines).encode())
            copied = Copied(one.bootstrap, kafka, "in", sorted(line.encode() for line in lines))
            self.run_cells(self.cells_of("kafka", copied))


if __name__ == "__main__":
    unittest.main()
