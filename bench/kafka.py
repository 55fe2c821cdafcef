#!/usr/bin/env python3
"""The Kafka connectors: records a second, and client CPU a record, with a broker on this machine.

What   Source: a job that reads a topic and forgets the records (test/e2e/tools/kafka_copy), exec to exit.
       The goal is per core of client CPU, since the broker shares the machine's cores. Sink: the publisher
       without the engine (test/e2e/tools/kafka_publisher) stages one checkpoint's output and publishes
       it chunk by chunk; its CPU is that of staging, publishing and exit. Copy: that job from topic to
       topic, exactly once, with a checkpoint every 10 s; and in turn with it what librdkafka alone needs to
       read and write the same records (test/e2e/tools/kafka_floor), below which no connector can be.
How    ./bench/kafka.py [--records N]; prints name TAB value TAB unit TAB goal TAB ok|short|-. Median of three.
       Without Java: says so, measures nothing.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
import broker  # noqa: E402
import kafka_tools  # noqa: E402

GOAL_SOURCE = 1_000_000
GOAL_SINK_US = 2.0  # client CPU a record
GOAL_COPY_US = 1.4
SIZE = 100
PARTITIONS = 16
ROUNDS = 3


def line(name, value, unit, goal="-", is_ok=None):
    """Without a goal there is no verdict."""
    verdict = "-" if is_ok is None else "ok" if is_ok else "short"
    print(f"{name}\t{value}\t{unit}\t{goal}\t{verdict}", flush=True)


def timed(argv):
    """Wall and CPU seconds of a program that must end well."""
    started = time.monotonic()
    process = broker.spawn(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.monotonic() - started
    process.stderr.close()
    if status != 0:
        sys.exit(f"{argv[0]} failed: {errors.decode()[-2000:]}")
    return elapsed, usage.ru_utime + usage.ru_stime


def medians(argv, before=lambda: None):
    rounds = []
    for _ in range(ROUNDS):
        before()
        rounds.append(timed(argv))
    return tuple(sorted(column)[ROUNDS // 2] for column in zip(*rounds))


def source(one, kafka, records):
    kafka.create_topic("in", partitions=PARTITIONS)
    path = one.directory / "lines"
    with open(path, "wb") as lines:
        for first in range(0, records, 100_000):
            lines.write(b"".join(b"%099d\n" % i for i in range(first, min(records, first + 100_000))))
    kafka.feed("in", path)
    path.unlink()
    argv = [ROOT / "build/e2e/kafka_copy", "run", "--brokers", one.bootstrap, "--topic", "in", "--bounded"]
    wall, cpu = medians(argv)
    line("kafka source, 100 B", f"{records / cpu:.0f}", "records/s and core", GOAL_SOURCE,
         records / cpu >= GOAL_SOURCE)
    line("kafka source, 100 B, wall", f"{records / wall:.0f}", "records/s")


def sink(one, kafka, records):
    kafka.create_topic("out", partitions=4)
    directory = one.directory / "sink"
    argv = [ROOT / "build/e2e/kafka_publisher", "--brokers", one.bootstrap, "--topic", "out", "--dir",
            directory, "--epochs", "1", "--units", "1", "--parallelism", "1", "--records", str(records),
            "--size", str(SIZE), "--interval-ms", "0"]
    wall, cpu = medians(argv, lambda: shutil.rmtree(directory, ignore_errors=True))
    line("kafka sink, 100 B, staged and published", f"{records / wall:.0f}", "records/s")
    line("kafka sink, 100 B, client CPU", f"{cpu / records * 1e6:.2f}", "us/record", GOAL_SINK_US,
         cpu / records * 1e6 <= GOAL_SINK_US)


def floor(one, out):
    """CPU microseconds a record."""
    argv = [ROOT / "build/e2e/kafka_floor", "--brokers", one.bootstrap, "--topic", "in", "--out-topic", out]
    process = broker.spawn(argv, stdout=subprocess.PIPE)
    text, _ = process.communicate()
    if process.returncode != 0:
        sys.exit("kafka_floor failed")
    return json.loads(text)["cpu_us"]


def copy(one, kafka, records):
    jobs, floors = [], []
    for number in range(ROUNDS):
        topics = [f"copy-{number}", f"floor-{number}"]
        directory = one.directory / "copy"
        shutil.rmtree(directory, ignore_errors=True)
        for topic in topics:
            kafka.create_topic(topic, partitions=PARTITIONS)
        argv = [ROOT / "build/e2e/kafka_copy", "run", "--brokers", one.bootstrap, "--topic", "in", "--bounded",
                "--out-topic", topics[0], "--checkpoints", directory, "--checkpoint-interval", "10s"]
        jobs.append(timed(argv)[1] / records * 1e6)
        floors.append(floor(one, topics[1]))
        for topic in topics:
            kafka.delete_topic(topic)
    cpu = sorted(jobs)[ROUNDS // 2]
    line("kafka copy, 100 B, client CPU", f"{cpu:.2f}", "us/record", GOAL_COPY_US, cpu <= GOAL_COPY_US)
    line("kafka copy, 100 B, librdkafka alone", f"{sorted(floors)[ROUNDS // 2]:.2f}", "us/record")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=4_000_000)
    args = parser.parse_args()
    try:
        broker.require_tools()
    except broker.ToolsMissing as missing:
        print(f"SKIPPED: {missing}", file=sys.stderr)
        return
    with broker.Broker("bench-kafka", heap_mb=512) as one:
        kafka = kafka_tools.Kafka(one.bootstrap)
        source(one, kafka, args.records)
        copy(one, kafka, args.records)
        sink(one, kafka, min(args.records, 1_000_000))


if __name__ == "__main__":
    main()
