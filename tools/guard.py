#!/usr/bin/env python3
"""Instructions a record of the hot paths, compared with those that are written down: guard.py [--update].

What   Runs build/bin/bench_guard PATH under valgrind's callgrind, which counts instructions: the same number each time,
       however busy the machine. More than 2 % away from bench/GUARD.tsv, in either direction, is a failure: slower
       wants a reason, faster wants to be kept. --update writes the file anew.
Limits Counts belong to a compiler and to libraries: elsewhere than with gcc 12 on Debian 12, on a CPU with AVX2, it
       says skip. They are no time: what waits for memory costs no more of them than what does not.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "build" / "bin" / "bench_guard"
TABLE = ROOT / "bench" / "GUARD.tsv"
PATHS = ("chain", "hop", "hashmap", "cache", "json", "wire")
ROUNDS = 4
RECORDS = 8192 * ROUNDS  # RECORDS of bench/guard.c
TOLERANCE = 0.02
LIMIT_S = 120


def text_of(path):
    return pathlib.Path(path).read_text(encoding="utf-8") if pathlib.Path(path).exists() else ""


def why_not():
    """Why counts of this machine say nothing, or None."""
    if not shutil.which("valgrind"):
        return "valgrind not found: install valgrind"
    compiled = subprocess.run(["readelf", "-p", ".comment", PROGRAM], capture_output=True, text=True, check=True).stdout
    if not re.search(r"GCC: \(Debian [^)]*\) 12\.", compiled):
        return f"the counts are of gcc 12 of Debian, this is: {' '.join(compiled.split()[-6:])}"
    if not text_of("/etc/debian_version").startswith("12"):
        return "the counts are of the libraries of Debian 12, and this is another system"
    if " avx2 " not in text_of("/proc/cpuinfo"):
        return "the counts are of a CPU with AVX2, which this one has not"
    return None


def count(path):
    """Instructions a record."""
    argv = ["valgrind", "--tool=callgrind", "--toggle-collect=guard_measured", "--callgrind-out-file=/dev/null",
            PROGRAM, path, str(ROUNDS)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(found.group(1)) == 0:
        sys.exit(f"not ok {path}: ended with {done.returncode}\n{done.stderr[-2000:]}")
    return int(found.group(1)) / RECORDS


def written():
    rows = [line.split("\t") for line in text_of(TABLE).splitlines()[1:]]
    return {path: float(value) for path, value in rows}


def check(counts, expected):
    is_bad = False
    for path, value in counts.items():
        before = expected.get(path)
        change = None if before is None else value / before - 1
        is_off = change is None or abs(change) > TOLERANCE
        is_bad |= is_off
        said = "is not written down" if before is None else f"was {before:.1f}, {change:+.1%}"
        print(f"{'not ok' if is_off else 'ok'} {path}: {value:.1f} instructions a record, {said}", flush=True)
    if is_bad:
        print("If the change is meant, `make bench-guard UPDATE=1` writes the counts down; the commit says why.")
    return is_bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skip bench-guard: {reason}")
        return
    counts = {path: count(path) for path in PATHS}
    if args.update:
        TABLE.write_text("path\tinstructions a record\n" + "".join(f"{path}\t{value:.2f}\n" for path, value in counts.items()),
                         encoding="utf-8")
    sys.exit(check(counts, written()))


if __name__ == "__main__":
    main()
