"""What is compared: one row a case, with the arguments and settings of both sides.

workload      its name in both halves.
count, warm   events, and how many of them come before the measurement begins: (full, quick). The JVM must be warm at
              its mark; Weir has the same mark.
flink         variants of the other side by name: arguments and settings. Each is compared with the same run of Weir.
Durable state: Flink's RocksDB checkpoints every 10 s, Weir every second, so that neither has more events between two
checkpoints than Flink has in ten seconds; both take a last one at the end, inside the measurement.
"""

import collections

Case = collections.namedtuple("Case", "name workload count warm arguments weir flink")

HEAP = {"state.backend.type": "hashmap"}
ROCKS = {"state.backend.type": "rocksdb", "taskmanager.memory.managed.size": "2g"}
ROCKS_SMALL = {**ROCKS, "taskmanager.memory.managed.size": "512m"}
WEIR_HEAP = {"state-backend": "hashmap", "memory": "4GB"}
WEIR_ROCKS = {"state-backend": "rocksdb", "memory": "4GB", "checkpoint-interval": "1s"}
WEIR_ROCKS_SMALL = {**WEIR_ROCKS, "memory": "1GB"}


def stateless(name, count, warm):
    flink = {"DataStream": ((), {})}
    if name != "source":
        flink["SQL"] = (("--sql",), {})
    return Case(name, name, count, warm, (), {}, flink)


def keyed(name, workload_arguments, heap, rocks):
    """Heap beside heap, durable beside durable."""
    workload, arguments = workload_arguments[0], workload_arguments[1:]
    return [Case(f"{name} heap", workload, *heap, arguments, WEIR_HEAP, {"heap": ((), HEAP)}),
            Case(f"{name} durable", workload, *rocks, arguments, WEIR_ROCKS, {"RocksDB": ((), ROCKS)})]


M = 1_000_000
CASES = [
    *(stateless(name, (60 * M, 8 * M), (20 * M, 4 * M)) for name in ("source", "q0", "q1", "q2", "q14")),
    *(stateless(name, (20 * M, 4 * M), (10 * M, 2 * M)) for name in ("q21", "q22")),
    *keyed("q12", ("q12",), ((30 * M, 6 * M), (10 * M, 3 * M)), ((4 * M, 1500_000), (2 * M, 750_000))),
    *keyed("q17", ("q17",), ((30 * M, 6 * M), (10 * M, 3 * M)), ((4 * M, 1500_000), (2 * M, 750_000))),
    *keyed("rmw 1M uniform", ("rmw", "--keys", str(M)), ((20 * M, 6 * M), (8 * M, 3 * M)), ((5 * M, 2 * M), (2 * M, M))),
    *keyed("rmw 1M zipf", ("rmw", "--keys", str(M), "--zipf"), ((20 * M, 6 * M), (8 * M, 3 * M)),
           ((5 * M, 2 * M), (2 * M, M))),
    *(Case(f"rmw 20M {name} small memory", "rmw", (30 * M, 2 * M), (20 * M, M), ("--keys", str(20 * M), *flags),
           WEIR_ROCKS_SMALL, {"RocksDB": ((), ROCKS_SMALL)}) for name, flags in (("uniform", ()), ("zipf", ("--zipf",)))),
]
