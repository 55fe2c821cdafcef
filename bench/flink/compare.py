#!/usr/bin/env python3
"""Weir and Apache Flink side by side: the same events, the same results, what each side paid.

What   Each case runs on both sides in turn (ABBA), in processes of their own. Their digests of the output must be equal,
       or the case is void and the exit status 1. Says before how long each case takes, and prints its rows behind it.
       The rows go into RESULTS-FLINK.json, in place of those which the case had, and page and chart are made
       anew of all rows: so the comparison can be made in parts, and a run that is broken off loses one case.
How    compare.py [--only TEXT[,TEXT...]] [--quick] [--resume] [--pairs N] [--out DIR] [--list] [--page]; `make bench-flink`
       builds before. Without Java, Maven or a network Weir's half runs alone, says so, and writes nothing.
Limits Every process has a time limit. Full: seventy minutes, on a machine of its own; --quick: fifteen.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

import idle
import kafka_cases
import paced
import recovery
import report
import sides
import throughput
import turns
from sides import broker

MODES = ("full", "quick")
# SystemExit: bench/cluster.py gives up by it; AssertionError: test/e2e does when a program is missing
FAILURES = (sides.RunFailed, broker.BrokerError, kafka_cases.kafka_tools.ToolError, subprocess.SubprocessError, OSError, SystemExit,
            AssertionError)


def cases(mode):
    """All, in the order of the page."""
    return [*throughput.cases(mode), *kafka_cases.cases(mode), *kafka_cases.latency_cases(mode), *paced.cases(mode),
            *recovery.cases(mode), *idle.cases(mode)]


def needs_broker(case):
    return isinstance(case, (kafka_cases.Copy, kafka_cases.Latency))


def failed(case, failure):
    return {"case": case.name, "variant": None, "kind": "failure", "void": True, "pairs": 0, "weir": None, "flink": None,
            "why": str(failure).strip().replace("\n", " ")[:300]}


def compare(case, has_flink):
    try:
        rows = case.run(has_flink)
    except FAILURES as failure:
        print(f"{case.name}: {failure}", file=sys.stderr, flush=True)
        rows = [failed(case, failure)]
    for row in rows:
        print(report.text_row(row), flush=True)
    return rows


def pair_count(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def check_folder(folder):
    """Before anything is measured for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as refused:
        sys.exit(f"no results can be kept in {folder}: {refused.strerror}; choose another one (--out, INTO=)")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT[,TEXT...]", help="cases whose names contain one of them")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, one pair: fifteen minutes")
    parser.add_argument("--resume", action="store_true", help="without the cases that were measured at this commit already")
    parser.add_argument("--pairs", type=pair_count, help="of runs, instead of each case's own number")
    parser.add_argument("--out", type=pathlib.Path, help="where the results are kept; default bench, quick build/flink-bench")
    parser.add_argument("--list", action="store_true", help="the cases and how long they take, and nothing else")
    parser.add_argument("--page", action="store_true", help="page and chart anew of what is kept, and nothing else")
    args = parser.parse_args()
    args.mode = turns.QUICK if args.quick else turns.FULL
    known = cases(args.mode)
    args.cases = [case for case in known if any(text in case.name for text in args.only.split(","))]
    if not args.cases:
        parser.error(f"no case has '{args.only}' in its name: " + ", ".join(case.name for case in known))
    for case in args.cases:
        case.pairs = args.pairs or case.pairs
    args.out = args.out or (sides.BUILD if args.quick else sides.ROOT / "bench")
    return args


def say_times(chosen, results):
    """What a case took last time, or what it states."""
    times = [results.seconds(case.name) or case.seconds for case in chosen]
    for case, seconds in zip(chosen, times):
        print(f"{seconds:>5} s  {case.name}")
    print(f"about {sum(times) / 60:.0f} minutes in all", flush=True)


def run(args, results, has_flink):
    """Names of the void cases."""
    voids = []
    for case in args.cases:
        started = time.monotonic()
        rows = compare(case, has_flink)
        voids += [case.name] if any(row["void"] for row in rows) else []
        if has_flink:
            results.put(case.name, rows, time.monotonic() - started)
    return voids


def has_flinks_half():
    try:
        sides.prepare_flink()
        return True
    except broker.ToolsMissing as missing:
        print(f"SKIPPED: Flink's half: {missing}\nWeir's half runs alone, without the cases that need a broker; nothing is "
              "compared.", file=sys.stderr, flush=True)
        return False


def main():
    args = parse()
    results = report.Results(args.out, MODES[args.mode], [case.name for case in cases(turns.FULL)])
    if args.page:
        return results.write()
    if args.resume:
        args.cases = [case for case in args.cases if not results.has(case.name)]
    if args.list:
        return say_times(args.cases, results)
    check_folder(args.out)
    has_flink = has_flinks_half()
    if not has_flink:
        args.cases = [case for case in args.cases if not needs_broker(case)]
    if not args.cases:
        return "no case is left to be run"
    say_times(args.cases, results)
    print(report.HEAD, flush=True)
    voids = run(args, results, has_flink)
    if has_flink:
        print(f"results: {args.out}/RESULTS-FLINK.md", flush=True)
    return f"void, since the sides did not put out the same or failed: {', '.join(voids)}" if voids else None


if __name__ == "__main__":
    sys.exit(main())
