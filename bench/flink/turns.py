"""What all cases share: the order of the runs, and what is made of their figures."""

import statistics

FULL, QUICK = 0, 1


class Case:
    """Rows of the page that are measured together.

    name     unique; --only looks at it, and results are kept by it.
    seconds  about how long it takes, said before.
    run()    rows for the report: dicts with "case", "variant", "kind", "void" and what their kind has.
    """

    def __init__(self, name, seconds, pairs=1):
        self.name, self.seconds, self.pairs = name, seconds, pairs

    def run(self, has_flink):
        raise NotImplementedError


def in_turn(pairs, names):
    """ABBA, so that what grows or fades with time falls on both."""
    for pair in range(pairs):
        yield from names if pair % 2 == 0 else reversed(names)


def spread(values):
    """Median, least, greatest."""
    return [statistics.median(values), min(values), max(values)] if values else None


def middle(runs, keys):
    """The median of each of the keys; None: a run has none."""
    return {key: statistics.median(run[key] for run in runs) if all(run.get(key) is not None for run in runs) else None
            for key in keys}


LATENCY_KEYS = ("p50_ms", "p99_ms", "p999_ms", "max_ms", "gap_ms", "cpu_s", "rss_mb", "other_cpu")


def latency_row(case, variant, weir, flink, is_void):
    """`flink` may be None. The ratio is that of the 99th percentiles."""
    pairs = list(zip(weir, flink or ()))
    return {"case": case, "variant": variant, "kind": "latency", "void": is_void, "pairs": len(pairs),
            "weir": middle(weir, LATENCY_KEYS), "flink": middle(flink, LATENCY_KEYS) if flink else None,
            "p99_ratio": spread([b["p99_ms"] / a["p99_ms"] for a, b in pairs]),
            "gap_ratio": spread([b["gap_ms"] / a["gap_ms"] for a, b in pairs])}
