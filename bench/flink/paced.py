"""Large state at a fixed rate: latency, and the longest gap of output while checkpoints are taken.

bench/flink_pages.c and Pages.java: so many keys with a page of 1,000 bytes each are written as fast as they can be taken, then
10,000 records a second for a while. A record has the time at which it is due, and the last operator takes the time from
there, in the same process: no client and no broker is in it. Both sides take a checkpoint every five seconds.
"""

import sides
import throughput
import turns

RATE = 10_000
SETTLE_S = 8  # behind the fill, not counted: what it left to be compacted, and the first checkpoint of all of it
INTERVAL_S = 5
# A checkpoint waits for the memtable to be written: with 128 MB the longest gap was 204 ms and 99 % came within 153 ms, with these
# 66 and 105 ms, for a sixth more CPU.
FLINK_ROCKS = {**throughput.ROCKS, "state.backend.rocksdb.writebuffer.size": "16mb"}


def is_right(runs):
    return all(run["wrong"] == 0 for run in runs) and len({(run["events"], run["rows"], run["digest"]) for run in runs}) == 1


class Paced(turns.Case):
    def __init__(self, backend, keys, seconds_each, weir, flink, **more):
        super().__init__(f"latency with state, {backend}", **more)
        self.keys, self.seconds_each, self.weir, self.flink = keys, seconds_each, weir, flink

    def arguments(self):
        settled = self.keys + SETTLE_S * RATE
        return ["--keys", str(self.keys), "--fill", str(self.keys), "--rate", str(RATE), "--from", str(settled),
                "--count", str(settled + self.seconds_each * RATE)]

    def once(self, name):
        if name is None:
            return sides.weir(self.arguments(), {**self.weir, "checkpoint-interval": f"{INTERVAL_S}s", "buffer-timeout": "1ms"},
                              "bench_flink_pages")
        return sides.flink("pages", self.arguments(), {
            **self.flink, "execution.checkpointing.interval": f"{INTERVAL_S} s", "execution.buffer-timeout.interval": "1 ms"},
            gc=sides.SHORT_PAUSES)

    def run(self, has_flink):
        names = ["weir", "flink"] if has_flink else ["weir"]
        runs = {name: [] for name in names}
        for name in turns.in_turn(self.pairs, names):
            runs[name].append(self.once(None if name == "weir" else name))
        is_void = not is_right([run for some in runs.values() for run in some])
        return [turns.latency_row(self.name, f"{self.keys / 1e6:g} GB, {RATE} records a second", runs["weir"], runs.get("flink"), is_void)]


def cases(mode):
    """A quick comparison has the durable one only."""
    return [Paced(backend, (1_000_000, 200_000)[mode], (20, 12)[mode], weir, flink, seconds=seconds[mode])
            for backend, weir, flink, seconds in (("heap", throughput.WEIR_HEAP, throughput.HEAP, (90, 0)),
                                                  ("durable", throughput.WEIR_ROCKS, FLINK_ROCKS, (100, 53)))
            if seconds[mode]]
