#!/usr/bin/env python3
"""Job managers elect a leader: real processes on a directory, and with a real ZooKeeper, killed, frozen and cut off.

Candidates are build/e2e/election: what a leader shows to the world are lines in one ledger, each written right behind
an election_check that passed. The ledger is the judge: epochs rise, each belongs to one candidate, and behind the
first line of an epoch there is none of an older one; one is allowed for a freeze, between the check and the line.
"""
import os
import signal
import subprocess
import threading
import unittest

import broker
import kills
import program
import zookeeper

LIMIT_S = 60
LEASE_MS = 1500
CHANGED = threading.Condition()  # a candidate has said something
TOOL = broker.BUILD / "e2e" / "election"


class Candidate:
    """A process that stands for election; its output is read as it comes."""

    def __init__(self, arguments, name, ledger):
        self.name = name
        self.lines = []
        self.process = broker.spawn([TOOL, *arguments(name)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                    env={**os.environ, "ELECTION_LEDGER": os.fspath(ledger)})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with CHANGED:
                self.lines.append(line.strip())
                CHANGED.notify_all()

    def mark(self):
        with CHANGED:
            return len(self.lines)

    def wait(self, line, since=0):
        """The line has come, behind the first `since`; a bounded wait."""
        with CHANGED:
            met = CHANGED.wait_for(lambda: line in self.lines[since:], LIMIT_S)
        if not met:
            raise AssertionError(f"{self.name} has not said '{line}', but {self.lines[since:]}")

    def signal(self, number):
        if number in (signal.SIGKILL, signal.SIGSTOP):
            kills.count("candidate")
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Election:
    """What holds for both; arguments(name) is the tool's command line."""

    def setUp(self):
        super().setUp()
        self.ledger = self.directory / "ledger"
        self.candidates = []
        self.addCleanup(lambda: [one.end() for one in self.candidates])

    def candidate(self, name):
        one = Candidate(self.arguments, name, self.ledger)
        self.candidates.append(one)
        return one

    def leader_and_other(self):
        leader = self.candidate("a")
        leader.wait("sure")
        return leader, self.candidate("b")

    def judge(self, names, freezes=0):
        """The names of the leaders in order, as the ledger has them."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        leaders, late = [], 0
        for epoch, name in ((int(epoch), name) for epoch, name in lines):
            if not leaders or epoch > leaders[-1][0]:
                leaders.append((epoch, name))
            elif epoch == leaders[-1][0]:
                self.assertEqual(name, leaders[-1][1])
            else:
                self.assertIn((epoch, name), leaders)
                late += 1
        self.assertLessEqual(late, freezes)
        self.assertEqual([name for _, name in leaders], names)

    def test_a_leader_that_is_asked_to_end_hands_over(self):
        leader, other = self.leader_and_other()
        leader.signal(signal.SIGTERM)
        self.assertEqual(leader.process.wait(LIMIT_S), 0)
        other.wait("sure")
        self.judge(["a", "b"])

    def test_a_leader_that_is_killed_is_replaced(self):
        leader, other = self.leader_and_other()
        leader.signal(signal.SIGKILL)
        other.wait("sure")
        third = self.candidate("c")
        other.signal(signal.SIGKILL)
        third.wait("sure")
        self.judge(["a", "b", "c"])

    def test_a_leader_that_was_frozen_shows_nothing_more(self):
        leader, other = self.leader_and_other()
        mark = leader.mark()
        leader.signal(signal.SIGSTOP)
        other.wait("sure")
        leader.signal(signal.SIGCONT)
        leader.wait("unsure", mark)
        mark = leader.mark()
        other.signal(signal.SIGKILL)
        leader.wait("sure", mark)  # it is a candidate again
        self.judge(["a", "b", "a"], freezes=1)

    def test_many_that_begin_at_once_have_one_leader(self):
        several = [self.candidate(name) for name in "abcd"]
        order = []
        for _ in range(len(several)):
            leader = self.first_sure({one: 0 for one in several if one.name not in order})
            order.append(leader.name)
            leader.signal(signal.SIGKILL)
            leader.process.wait()
        self.judge(order)

    def first_sure(self, marks):
        """Which candidate is the first to be sure, {candidate: the lines that do not count}."""
        with CHANGED:
            CHANGED.wait_for(lambda: any("sure" in one.lines[mark:] for one, mark in marks.items()), LIMIT_S)
            found = [one for one, mark in marks.items() if "sure" in one.lines[mark:]]
        self.assertEqual(len(found), 1)
        return found[0]

    def judge_rises(self):
        epochs = [int(line.split()[0]) for line in self.ledger.read_text().splitlines()]
        self.assertEqual(epochs, sorted(epochs))


class OnFiles(Election, program.ProgramTest):
    def arguments(self, name):
        return ["file", self.directory / "election", str(LEASE_MS), name]

    def test_a_removed_directory_ends_the_leader(self):
        leader, other = self.leader_and_other()
        other.wait("candidate 1 a:6123")
        mark = leader.mark()
        (self.directory / "election").rename(self.directory / "away")
        leader.wait("unsure", mark)
        marks = {one: one.mark() for one in (leader, other)}
        (self.directory / "away").rename(self.directory / "election")
        self.first_sure(marks)
        self.judge_rises()


class OnZooKeeper(Election, program.ProgramTest):
    auth = ()

    @classmethod
    def setUpClass(cls):
        broker.or_skip(zookeeper.require_tools)

    def setUp(self):
        super().setUp()
        self.server = zookeeper.ZooKeeper(self.directory / "zookeeper").start()
        self.addCleanup(self.server.close)

    def arguments(self, name):
        return ["zookeeper", self.server.quorum, "/weir/test", str(LEASE_MS), name, *self.auth]

    def test_without_the_server_nobody_is_sure(self):
        leader, other = self.leader_and_other()
        mark = leader.mark()
        self.server.kill9()
        leader.wait("unsure", mark)
        self.assertNotIn("sure", other.lines)
        marks = {one: one.mark() for one in (leader, other)}
        self.server.start()
        self.first_sure(marks)
        self.judge_rises()

    def test_a_frozen_server_makes_the_leader_unsure(self):
        leader, _ = self.leader_and_other()
        mark = leader.mark()
        kills.count("ZooKeeper")
        self.server.process.send_signal(signal.SIGSTOP)
        leader.wait("unsure", mark)
        self.server.process.send_signal(signal.SIGCONT)

    def test_with_a_user_others_may_not_stand(self):
        self.auth = ("weir:secret",)
        leader = self.candidate("a")
        leader.wait("sure")
        self.auth = ("weir:wrong",)
        stranger = self.candidate("b")
        self.auth = ("weir:secret",)
        other = self.candidate("c")
        epoch = next(line.split()[1] for line in leader.lines if line.startswith("leader "))
        other.wait(f"candidate {epoch} a:6123")
        leader.signal(signal.SIGKILL)
        other.wait("sure")
        self.assertNotIn("sure", stranger.lines)
        self.judge(["a", "c"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
