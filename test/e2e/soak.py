#!/usr/bin/env python3
"""Hours of everything at a low rate of faults, and the question whether anything leaks: make soak.

What   A broker, a cluster of two job managers and two task managers, and three jobs (soak_plant.py) run for --minutes.
       Every --fault-interval seconds somebody is killed, frozen, cut off, rescaled, stopped and restored, or a disk
       fails (soak_faults.py). Every --sample seconds memory, descriptors, threads, disks, transactions and lag are
       measured (gauges.py). The last quarter is without faults: workers live long enough there to be judged.
       At the end every job reads the rest of its input; its output is compared with what it had to be, whole; and no
       series may rise (leaks.py).
Result 0: exact and flat. 1: not. 2: asked wrongly. 130: stopped by Ctrl-C, exact and flat so far: the report is of that time. A
       second Ctrl-C does not wait until the output is compared.
Files  --out (build/soak): report.txt, series.tsv, series.svg, faults.txt; run/ is what ran, and stays only if it went wrong.
"""

import argparse
import os
import pathlib
import select
import shutil
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broker  # noqa: E402
import gauges  # noqa: E402
import kafka_tools  # noqa: E402
import leaks  # noqa: E402
import network  # noqa: E402
import soak_faults  # noqa: E402
import soak_plant  # noqa: E402
from seed import SEED  # noqa: E402

CALM = 1 / 4  # of the time, at the end
FILL_S = 600  # at ten times the rate the memory of a slot of 32 MB is level after 50 s, and one of 64 MB after 130
BEHIND_S = 120  # the feed goes on while a last fault is recovered from
LEFT = {"report.txt", "series.tsv", "series.svg", "faults.txt", "run"}  # by an earlier soak, in --out


def number(least, most):
    def read(text):
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {least} to {most}")
        return value
    return read


def place(text):
    """All that is there is deleted, so it must not be anything but a soak's."""
    path = pathlib.Path(text)
    if path.exists() and not (path.is_dir() and {entry.name for entry in path.iterdir()} <= LEFT):
        raise argparse.ArgumentTypeError(f"'{text}' holds more than a soak's report; give a new directory")
    return path


def parse(words):
    parser = argparse.ArgumentParser(description="Runs a cluster under faults for hours, and looks for leaks.")
    parser.add_argument("--minutes", type=number(0.05, 10080), default=120.0, metavar="N", help="how long (120)")
    parser.add_argument("--sample", type=number(0.2, 600), default=10.0, metavar="S", help="seconds between two samples (10)")
    parser.add_argument("--fault-interval", type=number(0, 3600), default=30.0, metavar="S",
                        help="seconds from recovery to the next fault (30)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="3: topics have three replicas (1)")
    parser.add_argument("--out", type=place, default=broker.BUILD / "soak", metavar="DIR", help="where the report goes")
    return parser.parse_args(words)


class Soak:
    def __init__(self, options):
        self.options = options
        self.seconds = options.minutes * 60
        self.begun = None
        self.marks = []  # (when, sentence)
        self.wrong = []  # sentences; empty: all is well
        self.exact = []
        self.is_stopped = self.was_signalled = False
        self.signalled, self.signaller = os.pipe()  # a lock that the main thread holds must not be asked for in its handler
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_, self.on_signal)

    def now(self):
        return time.monotonic() - self.begun

    def tell(self, sentence):
        self.marks.append((self.now(), sentence))
        line = f"{self.now():7.0f} s  {sentence}"
        print(line, flush=True)
        with open(self.options.out / "faults.txt", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def run(self):
        """The exit status."""
        place = self.options.out / "run"
        shutil.rmtree(self.options.out, ignore_errors=True)
        place.mkdir(parents=True)
        plant = soak_plant.Plant(place, self.seconds + BEHIND_S, SEED, self.options.brokers)
        try:
            self.begun = time.monotonic()
            self.gauges = self.install(plant)
            self.live(plant)
        finally:
            plant.close()
        if not self.wrong:
            shutil.rmtree(place)
        return 1 if self.wrong else 130 if self.is_stopped else 0

    def install(self, plant):
        found = gauges.Gauges(self.now, plant.one, plant.kafka, FILL_S)
        found.jobs = plant.jobs
        tmp = plant.directory / "tmp"
        for name in plant.jobs:
            found.places[f"checkpoints of {name}"] = lambda name=name: plant.directory.glob(f"checkpoints-{name}-*")
        found.places["local state"] = lambda: [path for path in tmp.iterdir() if not path.name.startswith("weir-logs-")]
        found.places["logs"] = lambda: tmp.glob("weir-logs-*")
        found.places["high availability"] = lambda: [plant.directory / "ha"]
        found.places["staged files"] = lambda: plant.directory.glob("steady/.*")
        found.topics = plant.transaction_topics()
        found.lags = [("events", "userprofile"), ("events", "copy")]
        return found

    def live(self, plant):
        sampler = gauges.Sampler(self.gauges, self.options.sample, kafka_tools.ToolError)
        try:
            try:
                self.hurt(plant)
            finally:
                sampler.stop()
            self.tell("the end begins")
            self.exact = plant.finish()
        except AssertionError as error:
            self.wrong.append(str(error))
        except Exception:  # of a tool, of REST: what it was belongs into the report as well
            self.wrong.append(traceback.format_exc())
        finally:
            self.report(sampler)

    def hurt(self, plant):
        """Until the time is over: fault after fault, and then the calm."""
        plant.is_well()
        faults = soak_faults.Faults(plant, SEED)
        calm = self.seconds * (1 - CALM)
        while self.wait(min(self.now() + self.options.fault_interval, calm)) and self.now() < calm:
            self.tell(faults.next())
        if not self.is_stopped:
            self.tell("no more faults")
            self.wait(self.seconds)
        plant.is_well()

    def wait(self, until):
        """To sample meanwhile. False: a signal has ended the soak before its time."""
        self.is_stopped = bool(select.select([self.signalled], [], [], max(0, until - self.now()))[0])
        if self.is_stopped:
            self.tell("stopped by a signal; the report follows")
        return not self.is_stopped

    def on_signal(self, *_):
        if self.was_signalled:
            raise KeyboardInterrupt
        self.was_signalled = True
        os.write(self.signaller, b"x")

    def report(self, sampler):
        all_series = self.gauges.all_series()
        verdicts = [leaks.judge(series) for series in all_series]
        self.wrong += [f"{it.series.name} rises" for it in verdicts if not it.is_well]
        hanging = [value for it in all_series if it.unit == "transactions" for life in it.lives.values() for _, value in life]
        if any(hanging):
            self.wrong.append(f"a transaction was open for more than {gauges.HANGING_S} s")
        end = "red: " + "; ".join(self.wrong) if self.wrong else "green" if self.exact else "the output was not compared"
        lines = [f"soak of {self.now() / 60:.1f} minutes, seed {SEED}, {len(self.gauges.attempts)} attempts of jobs, "
                 f"{sampler.gaps} samples without the broker", "", leaks.table(verdicts), "", *self.exact, end]
        out = self.options.out
        (out / "report.txt").write_text("\n".join(lines) + "\n")
        (out / "series.tsv").write_text(leaks.tsv(all_series))
        (out / "series.svg").write_text(leaks.svg(all_series, self.marks))
        print("\n".join(lines), flush=True)


def with_network_of_its_own():
    """Goes on in a network name space, where connections can be cut; stays where it is if that is not permitted."""
    if not network.is_inside() and network.is_permitted():
        network.go_inside([sys.executable, __file__, *sys.argv[1:]])


def main():
    options = parse(sys.argv[1:])
    try:
        broker.require_tools()
        broker.fetch()  # a network of its own reaches no registry
        with_network_of_its_own()
        return Soak(options).run()
    except broker.BrokerError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
