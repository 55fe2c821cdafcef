"""Events through a workload on both sides: CPU seconds each side paid, and equal digests or void.

A case has a workload (its name in both halves), `count` events, of which `warm` come before the measurement begins (the
JVM must be warm at its mark; Weir has the same mark), and variants of the other side by name: arguments and settings. Each
variant is compared with the same runs of Weir.
Durable state: both sides checkpoint every 10 s, and take a last one at the end, inside the measurement. It writes each key
that has changed, so where keys are few there are several events for each of them.
"""

import sides
import turns

HEAP = {"state.backend.type": "hashmap"}
# Timers on the heap: in RocksDB they cost Flink more.
ROCKS = {"state.backend.type": "rocksdb", "taskmanager.memory.managed.size": "2g",
         "state.backend.rocksdb.timer-service.factory": "HEAP"}
# Where most keys of a get are new, or few of them in memory; q12 and q17 are 2 to 3 % slower with it.
BLOOM = {"state.backend.rocksdb.use-bloom-filter": "true", "state.backend.rocksdb.bloom-filter.bits-per-key": "10.0",
         "state.backend.rocksdb.bloom-filter.block-based-mode": "false"}
WEIR_HEAP = {"state-backend": "hashmap", "memory": "4GB"}
WEIR_ROCKS = {"state-backend": "rocksdb", "memory": "4GB", "checkpoint-interval": "10s"}
# Much less than the state. Five eighths of Weir's memory are for rows, memtables and blocks: as much as Flink has for RocksDB,
# whose filters do not fit into that: whole ones are read again for each key (51 us an event of `uniform`, with 160 MB), parts
# of them are not (7.5). It needs least with large write buffers, which its memory limits.
WEIR_SMALL = {**WEIR_ROCKS, "memory": "128MB"}
SMALL = {**ROCKS, **BLOOM, "taskmanager.memory.managed.size": "80m", "state.backend.rocksdb.writebuffer.size": "64mb",
         "state.backend.rocksdb.memory.partitioned-index-filters": "true"}
SQL = ("--sql",)
M = 1_000_000


def per_cpu_s(run):
    return (run["events"] - run["warm"]) / run["cpu_s"]


def same(runs):
    """Equal in what they got and what they put out."""
    return len({(run["events"], run["rows"], run["digest"]) for run in runs}) == 1


class Throughput(turns.Case):
    """The runs: one list for Weir and one for each variant of Flink, in the order of the pairs."""

    def __init__(self, name, arguments, size, weir, flink, **more):
        super().__init__(name, **more)
        self.arguments, (self.count, self.warm), self.settings, self.flink = arguments, size, weir, flink
        self.is_sampled = True  # the timed runs look at lengths only
        self.runs = {}

    def numbers(self, is_full_digest, share=1):
        return ["--count", str(self.count // share), "--warm", str(self.warm // share),
                *(["--digest"] if is_full_digest else [])]

    def run_weir(self, is_full_digest, share=1):
        return sides.weir(["--workload", *self.arguments, *self.numbers(is_full_digest, share)], self.settings)

    def run_flink(self, variant, is_full_digest, share=1):
        flags, settings = self.flink[variant]
        workload, *arguments = self.arguments
        return sides.flink(workload, [*arguments, *self.numbers(is_full_digest, share), *flags], settings)

    def once(self, name, is_full_digest, share=1):
        return self.run_weir(is_full_digest, share) if name is None else self.run_flink(name, is_full_digest, share)

    def check(self, names):
        """Once, over every byte that comes out of a quarter of the events. A quick comparison has no such run: there the
        timed runs are those that look at every byte."""
        return not self.is_sampled or same([self.once(name, True, 4) for name in names])

    def run(self, has_flink):
        names = [None, *(self.flink if has_flink else ())]  # None: Weir
        self.runs = {name: [] for name in names}
        is_right = self.check(names)
        for name in turns.in_turn(self.pairs, names):
            self.runs[name].append(self.once(name, not self.is_sampled))
        is_void = not is_right or not same([run for runs in self.runs.values() for run in runs])
        return [self.row(name, is_void) for name in names[1:] or names]

    def row(self, variant, is_void):
        weir, flink = self.runs[None], self.runs[variant] if variant else []
        pairs = list(zip(weir, flink))
        return {"case": self.name, "variant": variant, "kind": "throughput", "void": is_void, "pairs": len(pairs),
                "weir": summary(weir), "flink": summary(flink),
                "cpu_ratio": turns.spread([per_cpu_s(a) / per_cpu_s(b) for a, b in pairs]),
                "wall_ratio": turns.spread([b["wall_s"] / a["wall_s"] for a, b in pairs])}


def summary(runs):
    if not runs:
        return None
    return {**turns.middle(runs, ("rss_mb", "other_cpu", "first_ms", "pause_ms", "broker_cpu_s", "written")),
            "per_cpu_s": turns.spread([per_cpu_s(run) for run in runs]), "digest": runs[0]["digest"],
            "events": runs[0]["events"], "warm": runs[0]["warm"]}


# ---------------------------------------------------------------- the cases


def cases(mode):
    """Of turns.FULL or turns.QUICK, whose runs are fewer and smaller."""
    made = []

    def add(name, arguments, sizes, weir, flink, seconds, pairs):
        one = Throughput(name, arguments, sizes[mode], weir, flink, seconds=seconds[mode], pairs=(pairs, 1)[mode])
        one.is_sampled = mode == turns.FULL
        made.append(one)

    add("generator", ("generator",), ((25 * M, 5 * M), (8 * M, 4 * M)), {}, {"DataStream": ((), {})}, (55, 9), 5)
    for name, sizes, seconds in [*((name, ((25 * M, 5 * M), (8 * M, 4 * M)), (110, 24)) for name in ("q0", "q1", "q2", "q14")),
                                 *((name, ((14 * M, 4 * M), (4 * M, 2 * M)), (140, 20)) for name in ("q21", "q22"))]:
        if name not in ("q1", "q2") or mode == turns.FULL:  # they are much as q0
            add(name, (name,), sizes, {}, {"DataStream": ((), {}), "SQL": (SQL, {})}, seconds, 5)
    for name, seconds in (("q12", (130, 33)), ("q17", (175, 43))):
        add(f"{name} heap", (name,), ((8 * M, 4 * M), (5 * M, 2500_000)), WEIR_HEAP,
            {"heap": ((), HEAP), "SQL heap": (SQL, HEAP)}, (131, 30), 3)
        add(f"{name} durable", (name,), ((2500_000, 1200_000), (1200_000, 600_000)), WEIR_ROCKS,
            {"RocksDB": ((), ROCKS), "SQL RocksDB": (SQL, ROCKS)}, seconds, 2)
    for name, flags in (("uniform", ()), ("zipf", ("--zipf",))):
        keys = ("rmw", "--keys", str(M), *flags)
        if name != "zipf" or mode == turns.FULL:
            add(f"rmw 1M {name} heap", keys, ((10 * M, 4 * M), (5 * M, 2500_000)), WEIR_HEAP, {"heap": ((), HEAP)}, (100, 15), 5)
        add(f"rmw 1M {name} durable", keys, ((16 * M, 2 * M), (8 * M, 2 * M)), WEIR_ROCKS,
            {"RocksDB": ((), {**ROCKS, **BLOOM}), "heap": ((), HEAP)}, (420, 105), 2)
    for name, flags in (("uniform", ()), ("zipf", ("--zipf",))):
        if name != "zipf" or mode == turns.FULL:
            add(f"rmw 20M {name} small memory", ("rmw", "--keys", str(20 * M), *flags),
                ((6 * M, 3 * M), (2 * M, 1500_000)), WEIR_SMALL, {"RocksDB": ((), SMALL)}, (170, 40), 3)
    return made
