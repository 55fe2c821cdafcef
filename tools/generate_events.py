#!/usr/bin/env python3
"""Generates events for the job `userprofile`: event i is a function of (seed, i) and nothing else.

Why a function: any range can be made again alone (--from, --count), two generators can share a load, and a
test that fails is repeated by its seed.

What is in it: Zipf users with their own phones, e-mails, devices and cookies; devices that are lent, phones
that change hands, terminals that more users share than the fan-out limit allows,
anonymous events, exact duplicates, ties of ts, odd decimals and exponents, escapes, white space, repeated and
unknown members, and lines that are bad for every reason. Valid events keep max(ts) - min(ts) below 24 h.

How: one keyed hash (64 bytes of blake2b) per event is all its randomness; most events are one f-string. The
rarer shapes ("variants") and the bad lines seed a random.Random from the hash. Bytes that are not UTF-8 are
kept as lone surrogates in the text and become bytes when a batch is encoded (surrogateescape).

Speed: about 150,000 lines per second on one core. Lines never contain a line feed.
"""

import argparse
import gzip
import os
import random
import struct
import sys
from hashlib import blake2b

BATCH = 4096
START_MS = 1_716_163_200_000  # 2024-05-20 00:00 UTC
SPAN_MS = 23 * 3_600_000
JITTER_MS = 600_000
MAX_VALUE_SIZE = 1_048_576
TERMINALS = 8
WORD = 1 << 32

TYPES = ["view"] * 60 + ["click"] * 20 + ["buy"] * 10 + ["repay"] * 6 + ["overdue"] * 4
CATEGORIES = (["loans"] * 8 + ["cards"] * 6 + ["funds"] * 5 + ["insurance"] * 4 + ["savings", "travel", "gold"] * 2
              + ["car", "house", "é", "贷款", r"a\"b", r"a\\b", r"\u006coans", "", "A", "loan", "loans2"])
SOURCES = ['"source":"app",'] * 5 + ['"source":"web",'] * 3 + ['"source":"",', ""]
TAGS = ['"city":"Beijing"', '"city":"Zürich"', '"city":"北京"', '"city":"😀"', r'"city":"\ud83d\ude00"', '"vip":3',
        '"vip":3.0', '"vip":3e0', '"vip":-0', '"score":1E400', '"score":0.10', '"score":12345678901234567890123',
        '"ok":true', '"ok":false', r'"note":"a \"b\" \\ \/ c"', r'"note":"\b\f\n\r\t\u0000\u001F\u007f"', '"note":""',
        '"":1', r'"a\nb":1', '"a b":"x"', r'"\u0061":1', '"a":2', r'"a\"":3', '"a!":4', '"城市":"上海"',
        '"long":"' + "x" * 300 + '"']
ODD_AMOUNTS = ["0", "-0", "-0.0", "0.00005", "-0.00005", "0.00004999", "1e-4", "5e-5", "49e-6", "-5E-5", "0e999999999",
               "1e-999999999", "1.00005", "2.00015", "-2.675", "0.12345", "129.99995", "9999.99995", "1E+3", "12.5e1",
               "123456e-5", "1e12", "-1e12", "999999999999.99995", "0.000000000001e24", "1000000000000.0000"]


class Generator:
    """Immutable after init; line(i) is the i-th line as text, to be encoded with surrogateescape."""

    def __init__(self, seed, users, bad_rate=0.005, duplicate_rate=0.02, skew=1.0, interval_ms=10):
        self.users = users
        self.interval_ms = interval_ms
        self.bad_below = int(bad_rate * WORD)
        self.duplicate_below = self.bad_below + int(duplicate_rate * WORD)
        self._hash = blake2b(key=b"%d" % seed, digest_size=64)
        # The inverse of the distribution function of a bounded Pareto distribution; skew 1 is its limit, users^u.
        self._power = None if skew == 1 else 1 / (1 - skew)
        self._scale = users + 1 if skew == 1 else (users + 1) ** (1 - skew) - 1

    def words(self, index):
        hashed = self._hash.copy()
        hashed.update(index.to_bytes(8, "little"))
        return struct.unpack("<16I", hashed.digest())

    def user(self, word):
        """A user number in 0 … users - 1; small numbers are frequent."""
        fraction = word / WORD
        if self._power is None:
            return int(self._scale ** fraction) - 1
        return int((1 + self._scale * fraction) ** self._power) - 1

    def line(self, index):
        words = self.words(index)
        if not self._is_duplicate(index, words):
            return self._original(index, words)
        # A duplicate repeats an earlier line, mostly a near one; some have white space behind it.
        padding = " \t"[:words[3] % 16 - 13] if words[3] % 16 > 13 else ""
        while self._is_duplicate(index, words):
            index -= 1 + words[1] % (min(index, 5000) if words[2] % 16 else index)
            words = self.words(index)
        return self._original(index, words) + padding

    def _is_duplicate(self, index, words):
        return self.bad_below <= words[0] < self.duplicate_below and index > 0

    def _original(self, index, words):
        if words[0] < self.bad_below:
            return bad_line(random.Random(words[1] << 32 | words[2]), self._event(index, words))
        if words[15] % 16 == 0:
            return variant(random.Random(words[1] << 32 | words[2]), self._pieces(index, words))
        return self._event(index, words)

    def _event(self, index, words):
        return "{" + ",".join(self._pieces(index, words)) + "}"

    def _pieces(self, index, words):
        """The members of event `index`; each word of the hash decides one thing."""
        ts = self._ts(index, words[4])
        user = self.user(words[5])
        pieces = [f'"event_id":"{words[1]:08x}-{index}"', f'"ts":{ts}',
                  f'{SOURCES[words[3] % 10]}"ids":{{{self._ids(words, user, ts)}}}',
                  f'"type":"{TYPES[words[8] % 100]}"']
        if words[9] & 3:
            pieces.append(f'"category":"{CATEGORIES[words[10] % len(CATEGORIES)]}"')
        if words[9] & 12:
            pieces.append(f'"amount":{amount(words[11], words[12], user)}')
        if words[9] & 48:
            pieces.append(f'"tags":{{{self._tags(words[13], words[14])}}}')
        return pieces

    def _ts(self, index, word):
        jitter = word % JITTER_MS if word & 0x3F000000 else word % SPAN_MS
        ts = START_MS + (index * self.interval_ms + jitter) % SPAN_MS
        return ts - ts % 60_000 if word >> 30 == 0 else ts  # whole minutes make ties

    def _ids(self, words, user, ts):
        present, detail = words[6], words[7]
        ids = []
        if present & 3:
            ids.append(f'"user":"u{user}"')
        if present & 0x1C == 0:
            # Every seventh phone goes to the previous user for ten minutes, and back.
            moved = user % 7 == 3 and ts // 600_000 & 1
            ids.append(f'"phone":"13{(user + moved) % self.users:09d}"')
        if present & 0xE0 == 0:
            ids.append(f'"idcard":"110101{user:012d}"')
        if present & 0x700 == 0:
            ids.append(f'"email":"u{user}@example.com"')
        if present & 0x3000 or not ids:
            ids.append(f'"device":"{self._device(detail, user)}"')
        if present & 0xC000 == 0:
            ids.append(f'"cookie":"c{user}.{detail >> 29}"')
        return ",".join(ids)

    def _device(self, detail, user):
        kind = detail & 63
        if kind > 4:
            return f"d{user}.{detail >> 30}"
        if kind < 2:  # a terminal, in a bank or a shop; the first one is used most
            return f"terminal-{int((TERMINALS + 1) ** (detail / WORD)) - 1}"
        if kind == 2:  # lent to somebody
            return f"d{(user + 1 + (detail >> 8) % 5) % self.users}.0"
        return f"d{user}:é" if kind == 3 else rf"d{user} \"x\" \\ \/ \u4eac"

    def _tags(self, first, second):
        tags = [TAGS[first % len(TAGS)]]
        if first >> 31:
            tags.append(TAGS[second % len(TAGS)])  # sometimes repeats the name of the first
        if second >> 30 == 0:
            tags.append(f'"n":{first >> 8}')
        return ",".join(tags)


def amount(kind, word, user):
    """Mostly money with two or more decimals; user 0 is so rich that sums wrap at 64 bits."""
    if user == 0 and kind & 3 == 0:
        return "999999999999.9999"
    kind >>= 24
    if kind > 60:
        return f"{word >> 12}.{word % 100:02d}" if kind > 100 else f"{word >> 20}"
    if kind > 40:
        return f"-{word >> 22}.{word % 100_000:05d}"
    if kind > 20:
        return f"{word >> 22}.{word % 1000:03d}5"
    if kind > 8:
        return f"{word >> 20}.{word % 1000}{'e' if word & 1 else 'E'}{word % 13 - 8}"
    return ODD_AMOUNTS[word % len(ODD_AMOUNTS)]


# --- valid events of an unusual shape ---------------------------------------------------------------------------------

UNKNOWN = ['"x":null', '"nested":{"ids":[{"user":null},[[]],"\\u0000"],"ts":"no"}', '"f":-1.5e+300', '"TS":1',
           '"":false', '"u":"\\u00e9é"', '"deep":' + "[" * 63 + "]" * 63, '"tags2":{"a":null}']
EARLIER = ['"ts":1', '"type":"never"', '"ids":{"cookie":"never"}', '"amount":1e3', '"tags":{"never":true}',
           '"event_id":"never"', '"category":"never"', '"source":"never"']


def variant(rng, pieces):
    """The same event written in another way, or with members that change what it says."""
    pieces = rng.sample(pieces, len(pieces))
    for change in rng.sample(CHANGES, 2):
        pieces = change(rng, pieces)
    return rng.choice(["{", " {", "\t\r{ "]) + ",".join(pieces) + rng.choice(["}", "} ", "\t}\r"])


def spread(rng, pieces):
    return [rng.choice(["", " ", "\t", "\r", "  "]) + piece + rng.choice(["", " ", "\t"]) for piece in pieces]


def add_unknown(rng, pieces):
    return rng.sample(UNKNOWN, 1) + pieces + rng.sample(UNKNOWN, 1)


def escape_names(_, pieces):
    for plain, escaped in (('"ts":', r'"\u0074s":'), ('"type":', r'"t\u0079pe" : '), ('"user":', r'"us\u0065r": ')):
        pieces = [piece.replace(plain, escaped) for piece in pieces]
    return pieces


def repeat_member(rng, pieces):
    """An earlier occurrence: it is valid and does not count, since the last one does."""
    return rng.sample(EARLIER, 2) + pieces


def add_tags(rng, pieces):
    return pieces + ['"tags":{' + " , ".join(rng.sample(TAGS, rng.randrange(6))) + "}"]


def set_long_texts(_, pieces):
    return pieces + ['"category":"%s"' % ("é" * 128), '"source":"%s"' % ("x" * 256)]


CHANGES = [spread, add_unknown, escape_names, repeat_member, add_tags, set_long_texts]


# --- bad lines --------------------------------------------------------------------------------------------------------

BAD_UTF8 = ["\udcff", "\udc80", "\udcc0\udc80", "\udcc1\udcbf", "\udce0\udc80\udc80", "\udced\udca0\udc80",
            "\udced\udcbf\udcbf", "\udcf4\udc90\udc80\udc80", "\udcf0\udc80\udc80\udc80", "\udcf5\udc80\udc80\udc80",
            "\udce2\udc82", "\udcc3"]
BAD_JSON = ["", " ", "null", "[]", "1", '"x"', "{", "}", "{}{}", "nonsense", "{'a':1}", "{,}", "<event/>", "\x00",
            '{"a":"\x00"}', '{"a":"\t"}']
BAD_PIECES = {
    "bad-json": [
        '"x":01', '"x":1.', '"x":.5', '"x":+1', '"x":NaN', '"x":tru', '"x":"\x01"', r'"x":"\ud800"',
        r'"x":"\udc00\ud800"', r'"x":"\x41"', r'"x":"\u12"', '"x"', '"x":', '"x":1,', "x:1", '"x":[1,]',
        '"x":{"a":1,}', '"x":"\\',
        '"x":1}{"y":2', '"deep":' + "[" * 64 + "]" * 64, '"deep":' + '{"a":' * 64 + "1" + "}" * 64, '"\x0b":1',
        '\x0c"x":1'],
    "bad-member": [
        '"event_id":""', '"event_id":7', '"event_id":null', '"event_id":"%s"' % ("x" * 257), '"ts":"1716163200000"',
        '"ts":-1', '"ts":1.0', '"ts":1e3', '"ts":253402300800000', '"ts":null', '"ids":{}', '"ids":null',
        '"ids":["u1"]', '"ids":{"user":""}', '"ids":{"user":7}', '"ids":{"user":null,"cookie":"c"}',
        '"ids":{"user":"%s"}' % ("é" * 129),
        r'"ids":{"user":"a\tb"}', '"type":""', '"type":null', '"type":["view"]', '"source":null', '"source":7',
        '"category":null', '"category":"%s"' % ("é" * 129), '"amount":null', '"amount":"1"', '"amount":1e13',
        '"amount":-1e999999999', '"amount":1000000000000.0001', '"amount":1e999999999', '"tags":null', '"tags":[]',
        '"tags":{"a":null}', '"tags":{"a":{}}', '"tags":{"a":"%s"}' % ("x" * 1025), '"tags":{"a":%s}' % ("9" * 1025),
        '"tags":{"%s":1}' % ("x" * 257), '"amount":null,"amount":1', '"ids":{"x":"1"},"amount":null'],
    "unknown-id-kind": [
        '"ids":{"imei":"1"}', '"ids":{"user":"u1","openid":"1"}', '"ids":{"User":"u1"}', '"ids":{"":"1"}',
        '"ids":{"x":"1"},"ids":{"user":"u1"}'],
}
GOOD = {"event_id": '"e"', "ts": "1716163200000", "ids": '{"user":"u1"}', "type": '"view"'}


def bad_line(rng, event):
    """A line that must be quarantined; mostly a good event in which one thing is wrong."""
    kind = rng.randrange(1000)
    if kind < 3:
        return event + " " * (MAX_VALUE_SIZE + 1 + rng.choice([0, 0, 1, 5000]) - len(event.encode()))
    if kind < 200:
        at = rng.randrange(len(event) + 1)
        return event[:at] + rng.choice(BAD_UTF8) + ("x" if at < len(event) else "") + event[at:]
    if kind < 300:
        return rng.choice(BAD_JSON)
    if kind < 350:
        behind = rng.choice([",", "x", event, "\x00", "\u00a0"])
        return rng.choice([event[:rng.randrange(len(event))], "\ufeff" + event, event + behind])
    if kind < 450:
        missing = rng.choice(list(GOOD))
        return "{" + ",".join(f'"{name}":{text}' for name, text in GOOD.items() if name != missing) + "}"
    reason = rng.choices(["bad-json", "bad-member", "unknown-id-kind"], [3, 5, 2])[0]
    piece = rng.choice(BAD_PIECES[reason])
    return rng.choice(["{%s,%s" % (piece, event[1:]), "%s,%s}" % (event[:-1], piece)])


# --- as a program -----------------------------------------------------------------------------------------------------

def write_range(generator, file, first, count):
    """Writes lines in batches: one join, one encode and one write for a few thousand lines."""
    line = generator.line
    for start in range(first, first + count, BATCH):
        batch = [line(index) for index in range(start, min(start + BATCH, first + count))]
        batch.append("")
        file.write("\n".join(batch).encode("utf-8", "surrogateescape"))


def write_files(generator, directory, first, count, files):
    """Splits the range into history files; every third is packed, and the last has no final line feed."""
    os.makedirs(directory, exist_ok=True)
    for number in range(files):
        start, end = count * number // files, count * (number + 1) // files
        name = f"events-{number:04d}.ndjson" + (".gz" if number % 3 == 1 else "")
        path = os.path.join(directory, name)
        with (gzip.open(path, "wb", compresslevel=1) if name.endswith(".gz") else open(path, "wb")) as file:
            write_range(generator, file, first + start, end - start)
        if number == files - 1 and not name.endswith(".gz") and end > start:
            os.truncate(path, os.path.getsize(path) - 1)


def parse_options():
    parser = argparse.ArgumentParser(
        description="Generate events for the job userprofile; event i depends on the seed and i only.")
    add = parser.add_argument
    add("--seed", type=int, default=1)
    add("--users", type=int, default=100_000, metavar="N", help="distinct users (default: 100000)")
    add("--skew", type=float, default=1.0, metavar="S",
        help="Zipf exponent of the users, 0 is uniform (default: 1, half the events come from √N users)")
    add("--from", dest="first", type=int, default=0, metavar="I", help="index of the first event (default: 0)")
    add("--count", type=int, default=100_000, metavar="N", help="number of lines (default: 100000)")
    add("--bad-rate", type=float, default=0.005, metavar="R", help="share of bad lines (default: 0.005)")
    add("--duplicate-rate", type=float, default=0.02, metavar="R", help="share of exact duplicates (default: 0.02)")
    add("--interval-ms", type=int, default=10, metavar="MS",
        help="ts from event to event; wraps after 23 h, so that all fit in a day (default: 10)")
    add("--files", type=int, metavar="N", help="write N history files into the directory --out, some of them .gz")
    add("--out", default="-", metavar="FILE|DIR|-", help="where to write (default: -, standard output)")
    options = parser.parse_args()
    check_options(parser, options)
    return options


def check_options(parser, options):
    if min(options.first, options.count, options.interval_ms, options.skew) < 0:
        parser.error("--from, --count, --interval-ms and --skew must not be negative")
    if options.users < 1 or (options.files is not None and options.files < 1):
        parser.error("--users and --files must be at least 1")
    if min(options.bad_rate, options.duplicate_rate) < 0 or options.bad_rate + options.duplicate_rate > 1:
        parser.error("--bad-rate and --duplicate-rate must be shares that add up to 1 at most")
    if options.files and options.out == "-":
        parser.error("--files needs a directory --out")


def main():
    options = parse_options()
    generator = Generator(options.seed, options.users, options.bad_rate, options.duplicate_rate, options.skew,
                          options.interval_ms)
    try:
        if options.files:
            write_files(generator, options.out, options.first, options.count, options.files)
        elif options.out == "-":
            write_range(generator, sys.stdout.buffer, options.first, options.count)
        else:
            with open(options.out, "wb") as file:
                write_range(generator, file, options.first, options.count)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"generate_events.py: cannot write {error.filename or options.out}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
