#!/usr/bin/env python3
"""Compares what an engine wrote with what it had to write; green is exit 0, red is exit 1.

Three independent checks, of which any may be combined in one call:

*job*     (--output DIR, or --profiles / --dead-letters / --fragments dumps, and --metrics): the output of the
          job userprofile against the oracle. Per yid the latest record counts; a yid that is not expected must
          end in a tombstone or never appear. Dead letters are a multiset, so that a lost and a repeated one
          both show. Counters must be equal.
*ledger*  (--ledger with --expect): records with unique ids. Every expected id exactly once, in the expected
          order within each partition. Finds losses, duplicates, reorderings.
*units*   (--units): records tagged {"unit":u,"epoch":e,"index":i,"total":t}. Of each transaction (unit, epoch)
          a read_committed reader must have seen all or none. Finds torn transactions.

The order of two profile records of one yid is the offset in Kafka; in files it is the file's name, then the
line: `profiles-<checkpoint>-<subtask>-…ndjson` is zero-padded, so a later checkpoint sorts after, also when a
yid has moved to another subtask.

Every check reports Differences; the first ten are printed with where they came from.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter

import inputs
import userprofile
from inputs import EXIT_DIFFERENT, EXIT_SAME, InputError

MAX_PRINTED = 10
CONTEXT_SIZE = 60


class Report:
    """Collects differences (sentences) and what was compared; keeps the first ten, counts all."""

    def __init__(self):
        self.first = []
        self.count = 0
        self.compared = []

    def differ(self, sentence):
        self.count += 1
        if len(self.first) < MAX_PRINTED:
            self.first.append(sentence)

    def compare(self, text):
        self.compared.append(text)

    def print_result(self):
        if self.count == 0:
            print("equal: " + ", ".join(self.compared))
            return EXIT_SAME
        for sentence in self.first:
            print(sentence)
        if self.count > len(self.first):
            print(f"… and {self.count - len(self.first)} more")
        print(f"DIFFERENT: {self.count} differences in " + ", ".join(self.compared))
        return EXIT_DIFFERENT


def show(text):
    """Prints bytes readably and never longer than a few lines."""
    if text is None:
        return "null"
    shown = text[:300].decode("utf-8", "backslashreplace")
    return shown if len(text) <= 300 else f"{shown}… ({len(text)} bytes)"


def show_difference(expected, actual):
    """Shows two different byte strings around the first byte that differs."""
    at = len(os.path.commonprefix([expected, actual]))
    start = max(0, at - CONTEXT_SIZE)
    cut = [(b"..." if start else b"") + text[start:at + CONTEXT_SIZE] + (b"..." if text[at + CONTEXT_SIZE:] else b"")
           for text in (expected, actual)]
    return f"differs at byte {at}\n    expected {show(cut[0])}\n    actual   {show(cut[1])}"


# --- expectations -----------------------------------------------------------------------------------------------------

class Expectations:
    """What the job must have written; from the oracle, or from a directory that the oracle wrote earlier."""

    def __init__(self, profiles, fragments, dead_letters, counters):
        self.profiles = profiles
        self.fragments = fragments
        self.dead_letters = dead_letters
        self.counters = counters


def load_expectations(options):
    if options.expected:
        return _read_expectations(options.expected)
    oracle = userprofile.run_oracle(options)
    fragments = oracle.fragments() if wants_fragments(options) else {}
    return Expectations(oracle.profiles(), fragments, oracle.dead_letters, oracle.counters())


def _read_expectations(directory):
    def lines(name):
        return [line[:-1] for line in inputs.read_lines(os.path.join(directory, name))]

    def pairs(name):
        return dict(line.split(b"\t", 1) for line in lines(name))

    return Expectations(pairs("profiles.ndjson"), pairs("fragments.ndjson"), lines("dead-letters.ndjson"),
                        read_json_file(os.path.join(directory, "metrics.json")))


def read_json_file(path):
    try:
        return json.loads(b"".join(inputs.read_lines(path)))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}).") from error


# --- reading what the engine wrote ------------------------------------------------------------------------------------

def read_output_lines(directory, prefix, report):
    """Yields (line without its line feed, where) from the files <prefix>-*.ndjson, in name order."""
    pattern = re.compile(re.escape(prefix) + r"-.*\.ndjson")
    for name in sorted(filter(pattern.fullmatch, inputs.list_directory(directory))):
        for number, line in enumerate(inputs.read_lines(os.path.join(directory, name)), 1):
            where = f"{name}:{number}"
            if line.endswith(b"\n"):
                yield line[:-1], where
            else:
                report.differ(f"{where} is torn: the last line has no line feed: {show(line)}")


def read_output_pairs(directory, prefix, report):
    """Yields (yid, value or None for a tombstone, where) from file output."""
    for line, where in read_output_lines(directory, prefix, report):
        yid, tab, value = line.partition(b"\t")
        if tab:
            yield yid, value or None, where
        else:
            report.differ(f"{where} has no tab: {show(line)}")


def describe(record):
    return f"partition {record.partition} offset {record.offset}"


def read_dump_pairs(paths, report):
    """Yields (yid, value or None for a tombstone, where) from dumps; a yid must keep to one partition."""
    partitions = {}
    for record in inputs.read_dump(paths):
        where = describe(record)
        if record.key is None:
            report.differ(f"{where} has no key: {show(record.value)}")
            continue
        first = partitions.setdefault(record.key, record.partition)
        if first != record.partition:
            report.differ(f"{show(record.key)} is in partition {first} and in {where}: no latest record exists")
        yield record.key, record.value, where


def read_dump_dead_letters(paths, report):
    for record in inputs.read_dump(paths):
        where = describe(record)
        if record.key is not None:
            report.differ(f"{where} is a dead letter with a key: {show(record.key)}")
        if record.value is None:
            report.differ(f"{where} is a dead letter without a value")
        else:
            yield record.value, where


# --- the job's output against the oracle ------------------------------------------------------------------------------

def check_latest(pairs, expected, what, report):
    """Compares the latest record of every yid; every record must at least be about the yid of its key."""
    latest = {}
    count = 0
    for yid, value, where in pairs:
        count += 1
        if what == "fragment" and yid in latest:
            _check_growth(yid, latest[yid], (value, where), report)
        latest[yid] = (value, where)
        if value is not None and not value.startswith(b'{"yid":' + userprofile.quote(yid) + b","):
            report.differ(f"{what} {show(yid)} at {where} is not about this yid: {show(value)}")
    for yid in sorted(expected.keys() | latest.keys()):
        value, where = latest.get(yid, (None, None))
        _check_one(what, yid, expected.get(yid), value, where, report)
    report.compare(f"{len(expected)} {what}s (latest of {count} records)")


_COUNT = re.compile(rb'[,{]"count":([0-9]+)')


def _check_growth(yid, before, after, report):
    """A fragment only gains events, so its count grows from record to record, or one was replayed."""
    counts = [_COUNT.search(value or b"") for value, _ in (before, after)]
    if all(counts) and int(counts[1][1]) <= int(counts[0][1]):
        report.differ(f"fragment {show(yid)} at {after[1]} is a replay or reordered: its count is "
                      f"{counts[1][1].decode()}, at {before[1]} it was {counts[0][1].decode()}")


def _check_one(what, yid, expected, value, where, report):
    if value == expected:
        return
    name = f"{what} {show(yid)}"
    if expected is None:
        report.differ(f"{name} must not exist, but the latest record at {where} is no tombstone: {show(value)}")
    elif where is None:
        report.differ(f"{name} was never written, expected {show(expected)}")
    elif value is None:
        report.differ(f"{name} ends in a tombstone at {where}, expected {show(expected)}")
    else:
        report.differ(f"{name} at {where} {show_difference(expected, value)}")


def check_dead_letters(lines, expected, report):
    actual = Counter()
    places = {}
    for line, where in lines:
        actual[line] += 1
        places[line] = where
    wanted = Counter(expected)
    for line in sorted(wanted.keys() | actual.keys()):
        if wanted[line] != actual[line]:
            last = f" (last at {places[line]})" if line in places else ""
            report.differ(f"dead letter expected {wanted[line]} times, found {actual[line]} times{last}: {show(line)}")
    report.compare(f"{len(expected)} dead letters")


LETTERS = "dead_letters."


def read_metrics(path):
    """Returns the counters of the job, from its own --metrics-json or from an object that has them ready.

    An engine's file has exact counters by operator, {"counters": {uid: {name: value}}}: the duplicates are one of
    them, and whoever refuses a record counts it as dead_letters.<reason>.
    """
    metrics = read_json_file(path)
    if not isinstance(metrics, dict) or not isinstance(metrics.get("quarantined", {}), dict):
        raise InputError(f"{path} is not an object with an object quarantined.")
    operators = metrics.get("counters")
    if operators is None:
        return metrics
    if not isinstance(operators, dict) or not all(isinstance(names, dict) for names in operators.values()):
        raise InputError(f"{path} has counters that are no objects by operator.")
    sums = Counter()
    for names in operators.values():
        sums.update(names)
    return {"events_in": metrics.get("events_in"), "duplicates_dropped": sums["duplicates_dropped"],
            "quarantined": {name.removeprefix(LETTERS): value for name, value in sums.items()
                            if name.startswith(LETTERS)}}


def check_metrics(path, expected, report):
    actual = read_metrics(path)
    for name in ("events_in", "duplicates_dropped"):
        _check_counter(name, expected[name], actual.get(name), report)
    quarantined = actual.get("quarantined", {})
    wanted = expected["quarantined"]
    for reason in sorted(wanted.keys() | quarantined.keys()):
        _check_counter(f"quarantined {reason}", wanted.get(reason, 0), quarantined.get(reason, 0), report)
    report.compare(f"{expected['events_in']} events in, {expected['duplicates_dropped']} duplicates, "
                   f"{sum(wanted.values())} quarantined")


def _check_counter(name, expected, actual, report):
    if type(actual) is not int or actual != expected:
        report.differ(f"counter {name} is {actual}, expected {expected}")


def wants_fragments(options):
    return bool(options.fragments or options.check_fragments)


def check_job(options, report):
    expected = load_expectations(options)
    if options.output:
        check_latest(read_output_pairs(options.output, "profiles", report), expected.profiles, "profile", report)
        check_dead_letters(read_output_lines(options.output, "dead-letters", report), expected.dead_letters, report)
    if options.check_fragments:
        check_latest(read_output_pairs(options.output, "fragments", report), expected.fragments, "fragment", report)
    if options.profiles:
        check_latest(read_dump_pairs(options.profiles, report), expected.profiles, "profile", report)
    if options.dead_letters:
        check_dead_letters(read_dump_dead_letters(options.dead_letters, report), expected.dead_letters, report)
    if options.fragments:
        check_latest(read_dump_pairs(options.fragments, report), expected.fragments, "fragment", report)
    if options.metrics:
        check_metrics(options.metrics, expected.counters, report)


# --- the ledger: every id exactly once, in order ----------------------------------------------------------------------

def read_expected_ids(path):
    """Returns the position of every expected id: one id per line, in the order of production."""
    positions = {}
    for number, line in enumerate(inputs.read_lines(path)):
        if positions.setdefault(line.rstrip(b"\n"), number) != number:
            raise InputError(f"{path}:{number + 1} repeats the id {show(line.rstrip())}; ids must be unique.")
    return positions


def id_of(record, source):
    """Takes the id of a record from its key, its whole value, or a member of its value; None if it has none."""
    if source == "key":
        return record.key
    if source == "value":
        return record.value
    member = json_members(record).get(source.removeprefix("member:"))
    return None if member is None else str(member).encode()


def json_members(record):
    """The members of a record of a test topic; {} if its value is no JSON object."""
    try:
        value = json.loads(record.value or b"")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def check_ledger(options, report):
    positions = read_expected_ids(options.expect)
    group_of = group_reader(options.order_within)
    seen = {}
    latest = {}  # (partition, group) -> (position, id) of the furthest record so far
    records = inputs.read_dump(options.ledger)
    for record in records:
        identity = id_of(record, options.id)
        where = describe(record)
        if identity is None:
            report.differ(f"ledger: {where} has no id: {show(record.value)}")
        elif identity not in positions:
            report.differ(f"ledger: {where} has the unexpected id {show(identity)}")
        elif identity in seen:
            report.differ(f"ledger: {show(identity)} is duplicated: at {seen[identity]} and at {where}")
        else:
            seen[identity] = where
            if not options.any_order:
                _check_order(latest, (record.partition, group_of(identity)), positions[identity], identity, where,
                             report)
    for identity in positions:
        if identity not in seen:
            report.differ(f"ledger: {show(identity)} is lost (expected id number {positions[identity] + 1})")
    report.compare(f"{len(positions)} ledger ids in {len(records)} records")


def _check_order(latest, place, position, identity, where, report):
    before, name, before_where = latest.get(place, (-1, None, None))
    if position < before:
        report.differ(f"ledger: {show(identity)} at {where} is reordered: it comes after {show(name)} "
                      f"at {before_where}")
    else:
        latest[place] = (position, identity, where)


def group_reader(pattern):
    """Returns a function from an id to the group within which order must hold; no pattern: one group."""
    if pattern is None:
        return lambda identity: b""
    try:
        compiled = re.compile(pattern.encode())
    except re.error as error:
        raise InputError(f"--order-within {pattern} is no regular expression ({error}).") from error

    def group(identity):
        match = compiled.search(identity)
        return match.group(match.lastindex or 0) if match else identity
    return group


# --- units: every transaction all or nothing --------------------------------------------------------------------------

UNIT_MEMBERS = ("unit", "epoch", "index", "total")


def check_units(options, report):
    transactions = {}  # (unit, epoch) -> {index: where}
    totals = {}
    latest = {}  # (partition, unit) -> (epoch, index) of the record before
    for record in inputs.read_dump(options.units):
        where = describe(record)
        members = json_members(record)
        unit, epoch, index, total = (members.get(name) for name in UNIT_MEMBERS)
        if unit is None or any(type(number) is not int for number in (epoch, index, total)):
            report.differ(f"units: {where} is not tagged with {', '.join(UNIT_MEMBERS)}: {show(record.value)}")
            continue
        name = f"unit {unit} epoch {epoch}"
        if totals.setdefault((unit, epoch), total) != total or not 0 <= index < total:
            report.differ(f"units: {where}: {name} index {index} does not fit total {total}")
            continue
        places = transactions.setdefault((unit, epoch), {})
        if index in places:
            report.differ(f"units: {name} index {index} is duplicated: at {places[index]} and at {where}")
            continue
        places[index] = where
        before = latest.get((record.partition, unit), (epoch, -1))
        if not options.any_order and (epoch, index) < before:
            report.differ(f"units: {name} index {index} at {where} is reordered: it comes after epoch {before[0]} "
                          f"index {before[1]}")
        latest[record.partition, unit] = (epoch, index)
    _check_whole(transactions, totals, report)


def _check_whole(transactions, totals, report):
    for (unit, epoch), places in transactions.items():
        total = totals[unit, epoch]
        if len(places) != total:
            missing = [index for index in range(total) if index not in places]
            report.differ(f"units: unit {unit} epoch {epoch} is torn: {len(places)} of {total} records are visible, "
                          f"missing index {', '.join(map(str, missing[:10]))}; visible for example at "
                          f"{next(iter(places.values()))}")
    report.compare(f"{len(transactions)} transactions of {sum(map(len, transactions.values()))} records")


# --- as a program -----------------------------------------------------------------------------------------------------

def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description="Compare the output of an engine with what it had to write. Exit 0: equal; 1: the first ten "
                    "differences are printed; 2: the check could not be made.")
    userprofile.add_input_options(parser)
    parser.add_argument("--expected", metavar="DIR",
                        help="instead of an input: what userprofile.py --write wrote (saves time when the same "
                             "input is verified often)")
    group = parser.add_argument_group("job: output of userprofile")
    group.add_argument("--output", metavar="DIR", help="file output: profiles-*.ndjson and dead-letters-*.ndjson")
    group.add_argument("--check-fragments", action="store_true", help="also compare fragments-*.ndjson in --output")
    group.add_argument("--profiles", metavar="FILE", nargs="+", help="dumps of the profiles topic")
    group.add_argument("--dead-letters", metavar="FILE", nargs="+", help="dumps of the dead-letters topic")
    group.add_argument("--fragments", metavar="FILE", nargs="+", help="dumps of the fragments topic")
    group.add_argument("--metrics", metavar="FILE",
                       help="JSON object with events_in, duplicates_dropped, quarantined {reason: count}")
    group = parser.add_argument_group("ledger and units: any topic")
    group.add_argument("--ledger", metavar="FILE", nargs="+", help="dumps of a topic whose records have unique ids")
    group.add_argument("--expect", metavar="FILE", help="the ids of --ledger, one per line, in production order")
    group.add_argument("--id", default="key", metavar="key|value|member:NAME",
                       help="where a ledger record has its id (default: key)")
    group.add_argument("--order-within", metavar="REGEX",
                       help="order must hold per partition among ids with the same match (its group, if it has one), "
                            "for example '^(.*)-' when several producers number their records")
    group.add_argument("--any-order", action="store_true", help="do not check order (ledger and units)")
    group.add_argument("--units", metavar="FILE", nargs="+",
                       help='dumps of a topic whose values are {"unit":u,"epoch":e,"index":i,"total":t,…}')
    options = parser.parse_args(arguments)
    check_usage(options)
    return options


def wants_job(options):
    return any((options.output, options.profiles, options.dead_letters, options.fragments, options.metrics))


def check_usage(options):
    if not wants_job(options) and not options.ledger and not options.units:
        raise InputError("nothing to verify: give --output, --profiles, --dead-letters, --fragments, --metrics, "
                         "--ledger or --units.")
    if bool(options.ledger) != bool(options.expect):
        raise InputError("--ledger and --expect belong together.")
    if options.check_fragments and not options.output:
        raise InputError("--check-fragments needs --output.")
    if options.id not in ("key", "value") and not options.id.startswith("member:"):
        raise InputError(f"--id is {options.id}, must be key, value or member:NAME.")
    if options.expected and (options.history or options.kafka):
        raise InputError("--expected replaces the input: give it without --history and --kafka.")


def main(arguments=None):
    options = parse_options(arguments)
    report = Report()
    if wants_job(options):
        check_job(options, report)
    if options.ledger:
        check_ledger(options, report)
    if options.units:
        check_units(options, report)
    return report.print_result()


if __name__ == "__main__":
    inputs.run_tool(main)
