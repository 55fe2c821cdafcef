#!/usr/bin/env python3
"""The batch oracle of the job `userprofile`: what its output must be, from the specification alone.

What: reads every event of the input and computes the expected profiles, fragments, dead letters and exact
counters. The result depends on the set of events only, so it is what the job's latest records must equal for
any order, parallelism, failure or restore.

How: an event passes clean() or becomes a dead letter; the first of each event_id adds to the Fragment of its
anchor and, if it has a user, claims its other ids for that user. At the end, owners() reads the claims,
profiles() merges fragments along them, and the formatters write the exact bytes. Everything is bytes, so
that comparing is comparing bytes; amounts are integers, read digit by digit from the text.

Limit: everything is held in memory, 320 MB for 400,000 events of 49,000 users.
Nothing here is shared with the engine.

As a program it prints the counters, one profile (--yid) or writes all expectations to a directory (--write).
"""

import argparse
import base64
import json
import os
import re
import sys
import time

import inputs
import strict_json
from strict_json import NUMBER, OBJECT, STRING, WORD

REASONS = ("too-large", "bad-utf8", "bad-json", "missing-member", "bad-member", "unknown-id-kind")
KINDS = (b"user", b"idcard", b"phone", b"email", b"device", b"cookie")  # the highest rank first
REQUIRED = {b"event_id", b"ts", b"ids", b"type"}

MAX_VALUE_SIZE = 1_048_576
MAX_RAW_SIZE = 65_536
MAX_RECORD_SIZE = 1_000_000
MAX_TEXT_SIZE = 256
MAX_TAG_SIZE = 1_024
MAX_TS = b"253402300799999"
MAX_AMOUNT_UNITS = 10 ** 16
DECIMALS = 4
DEFAULT_FANOUT_LIMIT = 64
DEFAULT_DEDUPE_TTL_MS = 24 * 3_600_000


# --- cleaning: bytes to an event, or the reason why not ---------------------------------------------------------------

class Quarantined(Exception):
    """The value is no valid event; the argument is the first reason that applies."""


class Event:
    """One valid event. tags maps a name to its value as it will be printed; amount is in units of 0.0001."""

    __slots__ = ("event_id", "ts", "ids", "type", "category", "amount", "tags")

    def content(self):
        """Everything but the event_id, so that duplicates with another content can be found."""
        return (self.ts, frozenset(self.ids.items()), self.type, self.category, self.amount,
                frozenset(self.tags.items()))


def clean(value):
    """Returns the Event in a record's value, or raises Quarantined with the first reason that applies."""
    if value is None:
        raise Quarantined("bad-json")
    if len(value) > MAX_VALUE_SIZE:
        raise Quarantined("too-large")
    try:
        value.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Quarantined("bad-utf8") from None
    try:
        members = strict_json.parse_object(value)
    except strict_json.BadJson:
        raise Quarantined("bad-json") from None
    return _read_event(members)


def _read_event(members):
    """Checks every occurrence of every known member; the last occurrence counts."""
    if not REQUIRED.issubset([name for name, _, _ in members]):
        raise Quarantined("missing-member")
    last = {}
    kinds = set()
    for name, kind, value in members:
        read = _READERS.get(name)
        if read is not None:
            last[name] = value = read(kind, value)
            if name == b"ids":
                kinds.update(value)
    if not kinds.issubset(KINDS):
        raise Quarantined("unknown-id-kind")
    event = Event()
    event.event_id = last[b"event_id"]
    event.ts = last[b"ts"]
    event.ids = last[b"ids"]
    event.type = last[b"type"]
    event.category = last.get(b"category")
    event.amount = last.get(b"amount")
    event.tags = last.get(b"tags", {})
    return event


def _read_text(kind, value):
    if kind is not STRING or len(value) > MAX_TEXT_SIZE:
        raise Quarantined("bad-member")
    return value


def _read_name(kind, value):
    if kind is not STRING or not 0 < len(value) <= MAX_TEXT_SIZE:
        raise Quarantined("bad-member")
    return value


def _read_ts(kind, value):
    # Compared as text first: a number may have a million digits. The grammar allows no leading zeros.
    if kind is not NUMBER or not value.isdigit() or len(value) > len(MAX_TS):
        raise Quarantined("bad-member")
    if len(value) == len(MAX_TS) and value > MAX_TS:
        raise Quarantined("bad-member")
    return int(value)


_CONTROL = re.compile(rb"[\x00-\x1f]")


def _read_ids(kind, members):
    """Reads ids of any kind: one that is ill-typed is bad-member even if its kind is unknown too."""
    if kind is not OBJECT or not members:
        raise Quarantined("bad-member")
    ids = {}
    for name, value_kind, value in members:
        if value_kind is not STRING or not 0 < len(value) <= MAX_TEXT_SIZE or _CONTROL.search(value):
            raise Quarantined("bad-member")
        ids[name] = value
    return ids


def _read_amount(kind, value):
    units = amount_units(value) if kind is NUMBER else None
    if units is None:
        raise Quarantined("bad-member")
    return units


def _read_tags(kind, members):
    if kind is not OBJECT:
        raise Quarantined("bad-member")
    tags = {}
    for name, value_kind, value in members:
        if len(name) > MAX_TEXT_SIZE:
            raise Quarantined("bad-member")
        if value_kind is STRING and len(value) <= MAX_TAG_SIZE:
            tags[name] = quote(value)
        elif value_kind is NUMBER and len(value) <= MAX_TAG_SIZE:
            tags[name] = value
        elif value_kind is WORD and value != b"null":
            tags[name] = value
        else:
            raise Quarantined("bad-member")
    return tags


_READERS = {b"event_id": _read_name, b"ts": _read_ts, b"ids": _read_ids, b"type": _read_name,
            b"source": _read_text, b"category": _read_text, b"amount": _read_amount, b"tags": _read_tags}

_DECIMAL = re.compile(rb"(-?)([0-9]++)(?:\.([0-9]++))?(?:[eE]([+-]?)([0-9]++))?")


def amount_units(text):
    """Returns a JSON number in units of 0.0001, rounded half away from zero, or None if out of range.

    The number is 0.DIGITS times 10 to the `point`, DIGITS having no leading zero, so its units have
    point + 4 digits and the next digit decides the rounding. Nothing is ever expanded: a huge exponent
    only makes `point` large, and the range check comes before any integer is made.
    """
    sign, whole, fraction, exponent_sign, exponent = _DECIMAL.fullmatch(text).groups()
    digits = whole + (fraction or b"")
    stripped = digits.lstrip(b"0")
    if not stripped:
        return 0
    point = len(whole) - (len(digits) - len(stripped)) + _bounded_exponent(exponent_sign, exponent)
    size = point + DECIMALS
    if size < 0:
        return 0
    if size > len(str(MAX_AMOUNT_UNITS)):
        return None
    units = int(stripped[:size].ljust(size, b"0") or b"0") + (stripped[size:size + 1] >= b"5")
    if units > MAX_AMOUNT_UNITS:
        return None
    return -units if sign else units


def _bounded_exponent(sign, digits):
    """The exponent, cut at ten digits: more than any value has digits, so the result is the same."""
    if digits is None:
        return 0
    digits = digits.lstrip(b"0") or b"0"
    size = int(digits) if len(digits) <= 10 else 10 ** 10
    return -size if sign == b"-" else size


# --- fragments: what the events of one anchor add up to ---------------------------------------------------------------

class Fragment:
    """The tags of one anchor, or of several merged. Stamps are (ts, event_id): the greatest wins a tag."""

    __slots__ = ("count", "types", "first_seen", "last_seen", "amount_sum", "amount_max", "categories", "tags")

    def __init__(self):
        self.count = 0
        self.types = {}
        self.first_seen = None
        self.last_seen = None
        self.amount_sum = 0
        self.amount_max = None  # None: no event had an amount
        self.categories = {}
        self.tags = {}  # name -> (stamp, value as printed)

    def add(self, event):
        self.count += 1
        self.types[event.type] = self.types.get(event.type, 0) + 1
        self._see(event.ts, event.ts)
        if event.amount is not None:
            self._pay(event.amount, event.amount)
        if event.category is not None:
            self.categories[event.category] = self.categories.get(event.category, 0) + 1
        if event.tags:
            stamp = (event.ts, event.event_id)
            for name, value in event.tags.items():
                self._tag(name, stamp, value)

    def merge(self, other):
        self.count += other.count
        for name, count in other.types.items():
            self.types[name] = self.types.get(name, 0) + count
        self._see(other.first_seen, other.last_seen)
        if other.amount_max is not None:
            self._pay(other.amount_sum, other.amount_max)
        for name, count in other.categories.items():
            self.categories[name] = self.categories.get(name, 0) + count
        for name, (stamp, value) in other.tags.items():
            self._tag(name, stamp, value)

    def _see(self, first, last):
        if self.first_seen is None or first < self.first_seen:
            self.first_seen = first
        if self.last_seen is None or last > self.last_seen:
            self.last_seen = last

    def _pay(self, total, largest):
        self.amount_sum += total
        if self.amount_max is None or largest > self.amount_max:
            self.amount_max = largest

    def _tag(self, name, stamp, value):
        known = self.tags.get(name)
        if known is None or stamp > known[0]:
            self.tags[name] = (stamp, value)

    def entries(self):
        """Returns the tags by name, each value as it is printed."""
        entries = {b"count": b"%d" % self.count, b"first_seen": b"%d" % self.first_seen,
                   b"last_seen": b"%d" % self.last_seen}
        if self.amount_max is not None:
            entries[b"amount.sum"] = print_units(wrap_64(self.amount_sum))
            entries[b"amount.max"] = print_units(self.amount_max)
        for name, count in self.types.items():
            entries[b"count." + name] = b"%d" % count
        for name, count in self.categories.items():
            entries[b"category." + name] = b"%d" % count
        for name, (_, value) in self.tags.items():
            entries[b"tag." + name] = value
        return entries

    def interest(self):
        return sorted(self.categories, key=lambda name: (-self.categories[name], name))[:3]

    def quality(self):
        score = (50 + 5 * self.types.get(b"repay", 0) + 2 * min(self.types.get(b"buy", 0), 10)
                 - 20 * self.types.get(b"overdue", 0))
        return max(0, min(score, 100))


def wrap_64(number):
    """Reduces modulo 2^64 into the range of a signed 64-bit integer."""
    return (number + 2 ** 63) % 2 ** 64 - 2 ** 63


# --- formatting: the exact bytes --------------------------------------------------------------------------------------

_QUOTED = re.compile(rb'["\\\x00-\x1f]')
_QUOTES = {bytes([code]): b"\\u%04x" % code for code in range(0x20)}
_QUOTES.update({b'"': b'\\"', b"\\": b"\\\\", b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r",
                b"\t": b"\\t"})


def quote(text):
    return b'"' + _QUOTED.sub(lambda match: _QUOTES[match.group()], text) + b'"'


def print_units(units):
    whole, rest = divmod(abs(units), 10 ** DECIMALS)
    return b"%s%d.%04d" % (b"-" if units < 0 else b"", whole, rest)


def print_list(texts):
    return b"[" + b",".join([quote(text) for text in texts]) + b"]"


def print_tags(fragment):
    entries = fragment.entries()
    return b"{" + b",".join([quote(name) + b":" + entries[name] for name in sorted(entries)]) + b"}"


def print_profile(yid, ids, fragment, shared):
    line = b'{"yid":%s,"ids":%s,"tags":%s,"interest":%s,"quality":%d,"shared":%s}' % (
        quote(yid), print_list(sorted(ids)), print_tags(fragment), print_list(fragment.interest()),
        fragment.quality(), b"true" if shared else b"false")
    return _limit_size(yid, line)


def print_fragment(anchor, fragment):
    return _limit_size(anchor, b'{"yid":%s,"tags":%s}' % (quote(anchor), print_tags(fragment)))


def _limit_size(yid, line):
    if len(line) > MAX_RECORD_SIZE:
        return b'{"yid":%s,"oversize":true}' % quote(yid)
    return line


def print_dead_letter(record, reason):
    value = record.value or b""
    return b'{"topic":%s,"partition":%d,"offset":%d,"reason":"%s","size":%d,"raw":"%s"}' % (
        quote(record.topic), record.partition, record.offset, reason.encode(), len(value),
        base64.b64encode(value[:MAX_RAW_SIZE]))


# --- the oracle: all events in, expectations out ----------------------------------------------------------------------

class Oracle:
    """Takes records in any order; ask for the expectations when all are in."""

    def __init__(self, fanout_limit=DEFAULT_FANOUT_LIMIT, dedupe_ttl_ms=DEFAULT_DEDUPE_TTL_MS):
        assert fanout_limit >= 1
        self.fanout_limit = fanout_limit
        self.dedupe_ttl_ms = dedupe_ttl_ms
        self.events_in = 0
        self.duplicates_dropped = 0
        self.quarantined = dict.fromkeys(REASONS, 0)
        self.dead_letters = []
        self._anchored = {}  # identity of an anchor -> Fragment
        self._claims = {}  # identity that is no user -> {user: greatest stamp of the evidence}
        self._contents = {}  # event_id -> hash of the content
        self._conflicts = []  # event_ids that came with two contents
        self._ts_range = None

    def add(self, record):
        self.events_in += 1
        try:
            event = clean(record.value)
        except Quarantined as refusal:
            reason = refusal.args[0]
            self.quarantined[reason] += 1
            self.dead_letters.append(print_dead_letter(record, reason))
            return
        content = hash(event.content())
        known = self._contents.get(event.event_id)
        if known is None:
            self._contents[event.event_id] = content
            self._add_first(event)
        else:
            self.duplicates_dropped += 1
            if known != content:
                self._conflicts.append(event.event_id)

    def _add_first(self, event):
        lowest, highest = self._ts_range or (event.ts, event.ts)
        self._ts_range = (min(lowest, event.ts), max(highest, event.ts))
        identities = [kind + b":" + event.ids[kind] for kind in KINDS if kind in event.ids]
        anchor = identities[0]
        fragment = self._anchored.get(anchor)
        if fragment is None:
            fragment = self._anchored[anchor] = Fragment()
        fragment.add(event)
        if b"user" in event.ids:
            stamp = (event.ts, event.event_id)
            for identity in identities[1:]:
                users = self._claims.setdefault(identity, {})
                users[anchor] = max(stamp, users.get(anchor, stamp))

    def counters(self):
        return {"events_in": self.events_in, "duplicates_dropped": self.duplicates_dropped,
                "quarantined": dict(self.quarantined)}

    def is_shared(self, identity):
        return len(self._claims.get(identity, ())) > self.fanout_limit

    def owners(self):
        """Returns the owner of every id that has one: the user of its newest evidence."""
        return {identity: max(users, key=users.get) for identity, users in self._claims.items()
                if len(users) <= self.fanout_limit}

    def profiles(self):
        """Returns the expected profile of every yid that must have one, as exact bytes."""
        owners = self.owners()
        members = {}
        for anchor in self._anchored:
            if anchor not in owners:
                members[anchor] = [anchor]
        for identity, user in owners.items():
            members[user].append(identity)
        return {yid: self._profile(yid, ids) for yid, ids in members.items()}

    def _profile(self, yid, ids):
        merged = Fragment()
        for identity in ids:
            if identity in self._anchored:
                merged.merge(self._anchored[identity])
        return print_profile(yid, ids, merged, self.is_shared(yid))

    def fragments(self):
        """Returns the expected fragment of every anchor, as exact bytes."""
        return {anchor: print_fragment(anchor, fragment) for anchor, fragment in self._anchored.items()}

    def ambiguities(self):
        """Sentences on why the specification does not define one result for this input; normally none."""
        found = []
        if self._conflicts:
            found.append(f"{len(self._conflicts)} duplicates have another content than the first of their "
                         f"event_id, for example {self._conflicts[0]!r}: which one counts depends on arrival.")
        # The watermark is never above the wall clock, so a far-future ts cannot make the job forget.
        if self._ts_range and self.duplicates_dropped:
            span_ms = min(self._ts_range[1], time.time_ns() // 1_000_000) - self._ts_range[0]
            if span_ms >= self.dedupe_ttl_ms:
                found.append(f"ts spans {span_ms} ms and the dedupe-ttl is {self.dedupe_ttl_ms} ms: "
                             "which duplicates are still known depends on arrival; give a larger --dedupe-ttl.")
        return found


# --- as a program -----------------------------------------------------------------------------------------------------

def add_input_options(parser):
    """The options that say what the job read; shared with verify.py."""
    group = parser.add_argument_group("input of the job")
    group.add_argument("--history", metavar="DIR", action="append", default=[],
                       help="a history directory (may be repeated)")
    group.add_argument("--kafka", metavar="FILE", action="append", default=[],
                       help="a dump of the events topic (may be repeated)")
    group.add_argument("--topic", metavar="NAME", default="events",
                       help="the topic of the --kafka dumps (default: events)")
    group.add_argument("--id-fanout-limit", metavar="N", type=int, default=DEFAULT_FANOUT_LIMIT)
    group.add_argument("--dedupe-ttl", metavar="TIME", type=inputs.parse_duration_ms, default="24h",
                       help="as given to the job, for example 24h (the default) or 3000d")
    group.add_argument("--allow-ambiguous", action="store_true",
                       help="go on although the specification does not define one result for this input")


def run_oracle(options):
    """Feeds all input that the options name and returns the Oracle; InputError if it defines no one result."""
    if not options.history and not options.kafka:
        raise inputs.InputError("no input: give --history DIR or --kafka FILE.")
    if options.id_fanout_limit < 1:
        raise inputs.InputError(f"--id-fanout-limit is {options.id_fanout_limit}, must be at least 1.")
    oracle = Oracle(options.id_fanout_limit, options.dedupe_ttl)
    for directory in options.history:
        for record in inputs.read_history(directory):
            oracle.add(record)
    if options.kafka:
        for record in inputs.read_dump(options.kafka, os.fsencode(options.topic)):
            oracle.add(record)
    for sentence in oracle.ambiguities():
        if not options.allow_ambiguous:
            raise inputs.InputError(sentence)
        print(f"warning: {sentence}", file=sys.stderr)
    return oracle


def write_expectations(oracle, directory):
    """Writes what verify.py --expected reads: profiles, fragments, dead letters and metrics."""
    try:
        os.makedirs(directory, exist_ok=True)
        _write_lines(directory, "profiles.ndjson", _pairs(oracle.profiles()))
        _write_lines(directory, "fragments.ndjson", _pairs(oracle.fragments()))
        _write_lines(directory, "dead-letters.ndjson", sorted(oracle.dead_letters))
        _write_lines(directory, "metrics.json", [json.dumps(oracle.counters()).encode()])
    except OSError as error:
        raise inputs.InputError(f"cannot write to {directory}: {error.strerror}.") from error


def _pairs(lines):
    return [yid + b"\t" + lines[yid] for yid in sorted(lines)]


def _write_lines(directory, name, lines):
    with open(os.path.join(directory, name), "wb") as file:
        file.writelines(line + b"\n" for line in lines)


def _print_yid(oracle, yid):
    """Prints one profile and the fragments it is made of, for a person who looks for a difference."""
    members = {yid} | {identity for identity, user in oracle.owners().items() if user == yid}
    profile, fragments = oracle.profiles().get(yid), oracle.fragments()
    lines = [b"profile  " + (profile or b"none: this yid must be absent or removed by a tombstone")]
    lines += [b"fragment " + fragments[identity] for identity in sorted(members) if identity in fragments]
    sys.stdout.buffer.write(b"\n".join(lines) + b"\n")


def main():
    parser = argparse.ArgumentParser(description="Compute the expected output of the job userprofile.",
                                     epilog="Without --write and --yid the exact counters are printed.")
    add_input_options(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--write", metavar="DIR",
                       help="write profiles.ndjson, fragments.ndjson, dead-letters.ndjson and metrics.json")
    group.add_argument("--yid", help="print the expected profile of this yid and its fragments")
    options = parser.parse_args()
    oracle = run_oracle(options)
    if options.write:
        write_expectations(oracle, options.write)
    if options.yid is not None:
        _print_yid(oracle, os.fsencode(options.yid))
    if not options.write and options.yid is None:
        print(json.dumps(oracle.counters(), indent=2))
    return 0


if __name__ == "__main__":
    inputs.run_tool(main)
