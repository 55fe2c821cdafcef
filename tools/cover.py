#!/usr/bin/env python3
"""Branch coverage of the core, from the counters that programs of the variant `cover` have left.

    cover.py reset OBJECTS              forgets what was counted
    cover.py report OBJECTS [PATH]...   the table, and the branches never taken (of files that begin with PATH)

OBJECTS is build/cover/obj. A row for each file and each group of CORE: lines and branches, how many there are and
how many were run or taken. Behind the table each line with a branch that was never taken, and its text. The exit
code is 1 when a group is below GOAL.

A branch is one way out of a condition as gcc sees it without optimisation: `a && b` has four, a case of a switch one.
Not counted is what only a defect of Weir can take: the branches of ASSERT and DEBUG_ASSERT (they abort, and memory
that runs out does so inside mem_*, where callers have no branch). All else counts, error paths above all.
"""
import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

GOAL = 90.0
CORE = {  # what it is called: the files, by how their paths begin
    "checkpoint": ["checkpoint/"],
    "state": ["state/"],
    "types": ["types/"],
    "exchange": ["runtime/exchange/"],
    "kafka sink": ["connectors/kafka_" + name for name in ("sink.", "publish.", "token", "segment.", "slot.")],
}
ASSERTION = re.compile(r"\b(?:DEBUG_)?ASSERT\s*\(")


def assertions(text):
    """Numbers of the lines that an assertion takes up."""
    lines = set()
    for match in ASSERTION.finditer(text):
        depth, at = 1, match.end()
        while depth > 0 and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        first = text.count("\n", 0, match.start()) + 1
        lines.update(range(first, first + text.count("\n", match.start(), at) + 1))
    return lines


class File:
    """Counts of one source file, summed over all objects that contain it (a header is in many)."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.text = text.split("\n")
        self.assertions = assertions(text)
        self.lines = collections.Counter()
        self.branches = {}  # line: counts

    def add(self, line):
        number = line["line_number"]
        self.lines[number] += line["count"]
        if number in self.assertions or not line["branches"]:
            return
        counts = [branch["count"] for branch in line["branches"]]
        known = self.branches.get(number, [])
        # the same inline function has as many branches in every object; a macro need not
        size = max(len(known), len(counts))
        pad = [list_ + [0] * (size - len(list_)) for list_ in (known, counts)]
        self.branches[number] = [a + b for a, b in zip(*pad)]

    def line_counts(self):
        return len(self.lines), sum(count > 0 for count in self.lines.values())

    def branch_counts(self):
        counts = [count for line in self.branches.values() for count in line]
        return len(counts), sum(count > 0 for count in counts)

    def never(self):
        for number, counts in sorted(self.branches.items()):
            missing = counts.count(0)
            if missing:
                yield f"{self.path}:{number}: {missing} of {len(counts)}: {self.text[number - 1].strip()}"


def group_of(path):
    return next((group for group, starts in CORE.items() if path.startswith(tuple(starts))), None)


def gcov(note):
    """What gcov says of one object. Without counters (no program with it has run) all are 0."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", note],
                          capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"cover: gcov {note}: {done.stderr.decode(errors='replace').strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def source_of(note, objects):
    """The file that an object was made of; of one that has gone, the object may still be there."""
    return os.path.relpath(note, objects).removesuffix(".gcno") + ".c"


def collect(objects):
    """{path: File} of the core."""
    # a header counts where the core uses it: elsewhere its inline functions would be counted again and again
    notes = [note for note in glob.glob(os.path.join(objects, "**", "*.gcno"), recursive=True)
             if group_of(source_of(note, objects)) and os.path.exists(source_of(note, objects))]
    if not notes:
        sys.exit(f"cover: no .gcno file under {objects}: build the variant cover first (make cover)")
    files = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for documents in pool.map(gcov, sorted(notes)):
            for entry in (entry for document in documents for entry in document["files"]):
                path = os.path.normpath(entry["file"])
                if not group_of(path):
                    continue
                if path not in files:
                    files[path] = File(path)
                for line in entry["lines"]:
                    files[path].add(line)
    return files


def row(name, lines, branches):
    def percent(counts):
        return 100.0 * counts[1] / counts[0] if counts[0] else 100.0
    print(f"{name:<34}{lines[0]:>7}{lines[1]:>7}{percent(lines):>7.1f}{branches[0]:>9}{branches[1]:>7}"
          f"{percent(branches):>7.1f}")
    return percent(branches)


def total(counts):
    return tuple(sum(column) for column in zip(*counts)) or (0, 0)


def report(objects, paths):
    files = collect(objects)
    short = []
    print(f"{'':<34}{'lines':>7}{'run':>7}{'%':>7}{'branches':>9}{'taken':>7}{'%':>7}")
    for group in CORE:
        members = [files[path] for path in sorted(files) if group_of(path) == group]
        for file in members:
            row("  " + file.path, file.line_counts(), file.branch_counts())
        reached = row(group, total([file.line_counts() for file in members]),
                      total([file.branch_counts() for file in members]))
        if not members:
            short.append(f"{group}: no file of it was built: was it renamed?")
        elif reached < GOAL:
            short.append(f"{group}: {reached:.1f} % of the branches, wanted are {GOAL:.0f} %")
    print("\nnever taken:")
    for path in sorted(files):
        if not paths or path.startswith(tuple(paths)):
            for text in files[path].never():
                print(text)
    print("".join(f"\nSHORT {text}" for text in short) or f"\nevery group has {GOAL:.0f} % of its branches")
    return int(bool(short))


def reset(objects):
    for path in glob.glob(os.path.join(objects, "**", "*.gcda"), recursive=True):
        os.remove(path)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("reset", "report"))
    parser.add_argument("objects")
    parser.add_argument("path", nargs="*")
    arguments = parser.parse_args()
    if arguments.what == "reset":
        return reset(arguments.objects)
    return report(arguments.objects, arguments.path)


if __name__ == "__main__":
    sys.exit(main())
