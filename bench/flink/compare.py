#!/usr/bin/env python3
"""Weir and Apache Flink side by side: the same events, the same results, what each side paid.

What   Each case runs on both sides in turn (ABBA), in processes of their own. Their digests of the output must be equal,
       or the case is void and the exit status 1. Prints a row a case; a run of all cases rewrites bench/RESULTS-FLINK.md,
       .json and .svg, any other writes them to build/flink-bench/.
How    compare.py [--only TEXT] [--quick] [--pairs N] [--out DIR]; `make bench-flink` builds before. Without Java, Maven
       or a network Weir's half runs alone, says so, and writes nothing.
Limits Every process has a time limit. Full: hours, on a machine of its own; --quick: ten minutes.
"""

import argparse
import pathlib
import statistics
import sys

import cases
import idle
import kafka_cases
import report
import sides
from sides import broker

PAIRS = 5


def per_cpu_s(run):
    return (run["events"] - run["warm"]) / run["cpu_s"]


def same(runs):
    """Equal in what they got and what they put out."""
    return len({(run["events"], run["rows"], run["digest"]) for run in runs}) == 1


def arguments_of(case, is_quick, is_full_digest):
    count, warm = case.count[is_quick], case.warm[is_quick]
    return [*case.arguments, "--count", str(count), "--warm", str(warm), *(["--digest"] if is_full_digest else [])]


class Comparison:
    """The runs of one case: one list for Weir and one for each variant of Flink, in the order of the pairs."""

    def __init__(self, case, args, has_flink):
        self.case, self.args = case, args
        self.variants = list(case.flink) if has_flink else []
        self.weir, self.flink = [], {name: [] for name in self.variants}
        self.is_void = False

    def run_weir(self, is_full_digest):
        return sides.weir(self.case.workload, arguments_of(self.case, self.args.quick, is_full_digest), self.case.weir)

    def run_flink(self, variant, is_full_digest):
        flags, settings = self.case.flink[variant]
        return sides.flink(self.case.workload, [*arguments_of(self.case, self.args.quick, is_full_digest), *flags], settings)

    def check(self):
        """Once, over every byte that comes out."""
        runs = [self.run_weir(True), *(self.run_flink(name, True) for name in self.variants)]
        self.is_void |= not same(runs)

    def run(self):
        # in a quick comparison the timed runs are those that look at every byte, on both sides
        is_full_digest = self.args.quick
        if not is_full_digest:
            self.check()
        for pair in range(self.args.pairs):
            one = [("weir", None), *(("flink", name) for name in self.variants)]
            for side, name in one if pair % 2 == 0 else reversed(one):
                if side == "weir":
                    self.weir.append(self.run_weir(is_full_digest))
                else:
                    self.flink[name].append(self.run_flink(name, is_full_digest))
        self.is_void |= not same([*self.weir, *(run for runs in self.flink.values() for run in runs)])

    def rows(self):
        """One of the report for each variant; without Flink one of Weir alone."""
        if not self.variants:
            return [self.row(None, [])]
        return [self.row(name, self.flink[name]) for name in self.variants]

    def row(self, variant, runs):
        pairs = list(zip(self.weir, runs))
        return {"case": self.case.name, "variant": variant, "void": self.is_void, "pairs": len(pairs),
                "weir": summary(self.weir), "flink": summary(runs),
                "cpu_ratio": spread([per_cpu_s(a) / per_cpu_s(b) for a, b in pairs]),
                "wall_ratio": spread([b["wall_s"] / a["wall_s"] for a, b in pairs])}


def spread(values):
    """Median, least, greatest."""
    return [statistics.median(values), min(values), max(values)] if values else None


def summary(runs):
    if not runs:
        return None
    middle = {key: statistics.median(run[key] for run in runs) for key in ("rss_mb", "other_cpu")}
    for key in ("first_ms", "pause_ms"):  # not every side says so
        middle[key] = statistics.median(run[key] for run in runs) if key in runs[0] else None
    return {**middle, "per_cpu_s": spread([per_cpu_s(run) for run in runs]), "digest": runs[0]["digest"],
            "events": runs[0]["events"], "warm": runs[0]["warm"], "broker_cpu_s": runs[0].get("broker_cpu_s")}


def compare(case, args, has_flink):
    comparison = kafka_cases.make(case, args, has_flink, Comparison) or Comparison(case, args, has_flink)
    try:
        comparison.run()
    except (sides.RunFailed, broker.BrokerError, kafka_cases.ToolError) as failure:
        print(f"{case.name}: void: {failure}", file=sys.stderr, flush=True)
        comparison.is_void = True
    rows = comparison.rows() if comparison.weir else []
    for row in rows:
        print(report.text_row(row), flush=True)
    return rows, comparison.is_void


def idle_flink(args):
    """None: it did not come up."""
    try:
        return idle.flink(args.idle_s)
    except sides.RunFailed as failure:
        print(f"{idle.NAME}: {failure}", file=sys.stderr, flush=True)
        return None


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose names contain it")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, one pair: ten minutes")
    parser.add_argument("--pairs", type=int, help=f"of runs; default {PAIRS}, quick 1")
    parser.add_argument("--out", type=pathlib.Path, help="where the results go")
    args = parser.parse_args()
    args.cases = [case for case in [*cases.CASES, *kafka_cases.CASES] if args.only in case.name]
    args.idle_s = (10 if args.quick else 60) if args.only in idle.NAME else 0
    if not args.cases and not args.idle_s:
        parser.error(f"no case has '{args.only}' in its name: "
                     + ", ".join([*(case.name for case in [*cases.CASES, *kafka_cases.CASES]), idle.NAME]))
    args.pairs = args.pairs or (1 if args.quick else PAIRS)
    args.out = args.out or (sides.BUILD if args.quick or args.only else sides.ROOT / "bench")
    return args


def main():
    args = parse()
    has_flink = True
    try:
        sides.prepare_flink()
    except broker.ToolsMissing as missing:
        print(f"SKIPPED: Flink's half: {missing}\nWeir's half runs alone, without the cases that need a broker; nothing is "
              "compared.", file=sys.stderr, flush=True)
        has_flink = False
        args.cases = [case for case in args.cases if case not in kafka_cases.CASES]
    results = report.Results(args.out, {"quick": args.quick, "pairs": args.pairs}, has_flink)
    if args.idle_s:
        results.add_idle(idle.weir(args.idle_s), idle_flink(args) if has_flink else None)
    print(report.HEAD, flush=True)
    voids = []
    for case in args.cases:
        rows, is_void = compare(case, args, has_flink)
        results.add(rows)
        voids += [case.name] * is_void
    if has_flink:
        print(f"results: {args.out}/RESULTS-FLINK.md", flush=True)
    if voids:
        sys.exit(f"void, since the sides did not put out the same or failed: {', '.join(voids)}")


if __name__ == "__main__":
    main()
