"""The oracle against the specification: tables of cases whose results were worked out by hand."""

import base64
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest
from decimal import ROUND_HALF_UP, Decimal

import inputs
import userprofile
from inputs import Record
from userprofile import MAX_AMOUNT_UNITS, Oracle, Quarantined, amount_units, clean

HERE = os.path.dirname(os.path.abspath(__file__))

# A valid event in pieces: event() replaces, adds or (None) leaves out members, all given as JSON text.
BASE = {"event_id": '"e1"', "ts": "1000", "ids": '{"user":"u1"}', "type": '"view"'}


def event(**members):
    pieces = {**BASE, **members}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in pieces.items() if text is not None) + "}").encode()


def reason_of(value):
    try:
        clean(value)
    except Quarantined as refusal:
        return refusal.args[0]
    return None


def oracle_of(values, **options):
    oracle = Oracle(**options)
    for offset, value in enumerate(values):
        oracle.add(Record(b"events", 0, offset, None, value, None))
    return oracle


def profiles_of(values, **options):
    """The expected profiles, parsed: the oracle's output is JSON like any other."""
    return {yid.decode(): json.loads(line) for yid, line in oracle_of(values, **options).profiles().items()}


def members(texts):
    """Events from short notes: (event_id, ts, ids, other members as text)."""
    return [event(event_id=f'"{event_id}"', ts=str(ts), ids=json.dumps(ids), **others)
            for event_id, ts, ids, others in texts]


TEXT_256, TEXT_257 = '"' + "x" * 256 + '"', '"' + "x" * 257 + '"'
ACCENT_256, ACCENT_258 = '"' + "é" * 128 + '"', '"' + "é" * 129 + '"'

VALID = [
    event(),
    event(event_id=TEXT_256), event(event_id=ACCENT_256), event(event_id=r'"\u0000\n"'),
    event(ts="0"), event(ts="253402300799999"),
    event(ids=f'{{"user":{TEXT_256}}}'), event(ids=f'{{"cookie":{ACCENT_256}}}'),
    event(ids=r'{"user":"a:b\u007f \"\\"}'),
    event(ids='{"user":"1","idcard":"2","phone":"3","email":"4","device":"5","cookie":"6"}'),
    event(ids=r'{"\u0075ser":"u1"}'), event(ids='{"user":"u1","user":"u2"}'),
    event(type=TEXT_256), event(type=r'"\u0001"'),
    event(source='""'), event(category='""'), event(source=TEXT_256), event(category=ACCENT_256),
    event(category=r'"\u0000"'),
    event(amount="0"), event(amount="-0"), event(amount="-1.50"), event(amount="1e2"), event(amount="1e12"),
    event(amount="-1E+12"), event(amount="1e-999999999"), event(amount="0e999999999"),
    event(tags="{}"), event(tags='{"":""}'), event(tags=f'{{{TEXT_256}:1}}'),
    event(tags='{"a":"%s"}' % ("x" * 1024)), event(tags='{"a":%s}' % ("1" * 1024)), event(tags='{"a":true,"b":false}'),
    event(tags=r'{"a":"\u0000"}'), event(tags='{"a":1,"a":"x"}'),
    event(unknown="null"), event(unknown='[{"a":[null]}]'), event(IDS="1"), event(unknown=r'"\ud83d\ude00"'),
    b" \t\r\n" + event() + b"\r", event(unknown='"' + "x" * 400_000 + '"'),
    event(event_id='"e1","event_id":"e2"'),
    event(ids='{"user":"u1"},"ids":{"cookie":"c1"}'),
]

INVALID = {
    "too-large": [b" " * 1_048_577, event() + b" " * 1_048_576, b"\xff" * 1_048_577, b"\x00" * 2_000_000],
    "bad-utf8": [
        b"\xff", event(source='"x"').replace(b'"x"', b'"\x80"'), b'{"a":"\xc0\x80"}', b'{"a":"\xc1\xbf"}',
        b'{"a":"\xe0\x80\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xed\xbf\xbf"}', b'{"a":"\xf4\x90\x80\x80"}',
        b'{"a":"\xf0\x80\x80\x80"}', b'{"a":"\xf5\x80\x80\x80"}', b'{"a":"\xe2\x82"}', event() + b"\xc3",
        b"not json \xfe", b"\xff\xfe{\x00}\x00", b'{"a":"\xf8\x88\x80\x80\x80"}', b" " * 1_048_575 + b"\xff"],
    "bad-json": [
        None, b"", b" ", b"{", b"null", b"[]", event() + event(), event() + b",", event()[:-1], event()[1:],
        b"\xef\xbb\xbf" + event(), event(unknown=r'"\ud800"'), event(unknown="01"), event(unknown="[1,]"),
        event(source='"\x00"'), event(source='"\n"'), event(unknown="[" * 64 + "]" * 64), event(ts="NaN"),
        event(ids=None, unknown="tru"), event(ts="00"), event(ts="+1"), event(amount=".5"), b" " * 1_048_576],
    "missing-member": [
        b"{}", event(event_id=None), event(ts=None), event(ids=None), event(type=None), event(ts=None, event_id="1"),
        event(ids=None, amount="null"), event(ts=None, ids='{"x":"1"}'), event(ts=None, TS="1"),
        event(ids=None, unknown='{"ids":{"user":"u1"}}')],
    "bad-member": [
        event(event_id='""'), event(event_id=TEXT_257), event(event_id=ACCENT_258), event(event_id="1"),
        event(event_id="null"), event(event_id='["e1"]'), event(event_id="true"), event(event_id="{}"),
        event(ts='"1"'), event(ts="-1"), event(ts="-0"), event(ts="1.0"), event(ts="1e3"), event(ts="253402300800000"),
        event(ts="9" * 100_000), event(ts="null"), event(ts="1E0"),
        event(ids="{}"), event(ids="null"), event(ids="[]"), event(ids='"u1"'), event(ids='{"user":""}'),
        event(ids='{"user":1}'), event(ids='{"user":null}'), event(ids=f'{{"user":{TEXT_257}}}'),
        event(ids=f'{{"user":{ACCENT_258}}}'), event(ids=r'{"user":"\u001f"}'), event(ids=r'{"cookie":"a\tb"}'),
        event(ids='{"user":"u1","cookie":""}'), event(ids='{"user":"","user":"u1"}'), event(ids='{"x":1}'),
        event(ids='{"x":""}'), event(ids='{"x":"1"},"ids":{}'),
        event(type='""'), event(type="null"), event(type=TEXT_257), event(type="1"),
        event(source="null"), event(source="1"), event(source=TEXT_257), event(category="null"), event(category="{}"),
        event(category=ACCENT_258),
        event(amount="null"), event(amount='"1"'), event(amount="1e13"), event(amount="-1000000000001"),
        event(amount="1e999999999"), event(amount="0.1e999999999999999999999"), event(amount="1000000000000.0001"),
        event(amount="{}"), event(amount="true"),
        event(tags="null"), event(tags="[]"), event(tags='"x"'), event(tags='{"a":null}'), event(tags='{"a":[]}'),
        event(tags='{"a":{}}'), event(tags=f'{{{TEXT_257}:1}}'), event(tags='{"a":"%s"}' % ("x" * 1025)),
        event(tags='{"a":%s}' % ("1" * 1025)), event(tags='{"a":null,"a":1}'), event(tags='{"a":[]},"tags":{}'),
        event(ids='{"x":"1"}', amount="null"), event(ts='"1","ts":1'), event(amount='null,"amount":1'),
        event(event_id='"","event_id":"e1"')],
    "unknown-id-kind": [
        event(ids='{"x":"1"}'), event(ids='{"user":"u1","x":"1"}'), event(ids='{"User":"u1"}'), event(ids='{"":"u1"}'),
        event(ids='{"x":"1"},"ids":{"user":"u1"}'), event(ids='{"user":"u1"},"ids":{"x":"1"}'),
        event(ids='{"%s":"1"}' % ("k" * 300)), event(ids=r'{"us\u0000er":"1"}')],
}


class Cleaning(unittest.TestCase):
    def test_accepts_valid_events(self):
        for value in VALID:
            with self.subTest(value=value[:200]):
                self.assertIsNone(reason_of(value))

    def test_gives_the_first_reason_that_applies(self):
        for reason, values in INVALID.items():
            for value in values:
                with self.subTest(reason=reason, value=value and value[:200]):
                    self.assertEqual(reason_of(value), reason)

    def test_the_largest_value_is_allowed(self):
        value = event()
        self.assertIsNone(reason_of(value + b" " * (1_048_576 - len(value))))
        self.assertEqual(reason_of(value + b" " * (1_048_577 - len(value))), "too-large")

    def test_the_64th_level_is_allowed(self):
        self.assertIsNone(reason_of(event(unknown="[" * 63 + "]" * 63)))
        self.assertIsNone(reason_of(event(unknown='{"a":' * 63 + "1" + "}" * 63)))
        self.assertEqual(reason_of(event(unknown='{"a":' * 64 + "1" + "}" * 64)), "bad-json")

    def test_the_last_of_a_repeated_member_counts_whole(self):
        cleaned = clean(event(event_id=r'"e1","event\u005fid":"e2"',
                              ids='{"user":"u1"},"ids":{"cookie":"c1","cookie":"c2"}',
                              amount='1,"amount":2', tags='{"a":1,"b":2},"tags":{"a":3}', type='"x","type":"y"'))
        self.assertEqual((cleaned.event_id, cleaned.ids, cleaned.amount, cleaned.tags, cleaned.type),
                         (b"e2", {b"cookie": b"c2"}, 20000, {b"a": b"3"}, b"y"))


AMOUNTS = [
    ("0", 0), ("-0", 0), ("0.0", 0), ("-0.00000", 0), ("0e5", 0), ("0e999999999999999999", 0), ("0.000e-99", 0),
    ("1", 10000), ("-1", -10000), ("129.5", 1295000), ("0.0001", 1), ("-0.0001", -1),
    ("0.00004", 0), ("0.00005", 1), ("0.000049999999999", 0), ("-0.00005", -1), ("-0.00004", 0), ("0.00015", 2),
    ("0.00025", 3),
    ("1.00005", 10001), ("1.00015", 10002), ("2.675", 26750), ("0.12345", 1235), ("0.12344999", 1234),
    ("0.99995", 10000),
    ("9999.99995", 100000000), ("1e-4", 1), ("1e-5", 0), ("5e-5", 1), ("4.9e-5", 0), ("5e-6", 0), ("0.5e-4", 1),
    ("99e-6", 1),
    ("1e0", 10000), ("1E+2", 1000000), ("12.5e1", 1250000), ("0.00000000001e15", 100000000), ("123456e-5", 12346),
    ("123454e-5", 12345), ("1e-999999999999999999999999", 0), ("100e-2", 10000), ("0.0100e+2", 10000),
    ("1e00000000000000002", 1000000),
    ("1e-0", 10000), ("-1.5e-4", -2), ("1000000000000", 10 ** 16), ("-1e12", -10 ** 16),
    ("999999999999.99995", 10 ** 16),
    ("999999999999.99994", 10 ** 16 - 1), ("1000000000000.00004", 10 ** 16), ("1000000000000.00005", None),
    ("1000000000000.0001", None), ("-1000000000000.0001", None), ("1e13", None), ("9.9e12", None),
    ("1e999999999", None),
    ("-1e999999999999999999999999", None), ("0.001e999999999", None), ("9007199254740993e-4", 9007199254740993),
]


def random_decimal(rng):
    whole = rng.choice([0, rng.randrange(10), rng.randrange(10 ** rng.randrange(1, 16))])
    digits = rng.choices("0123456789", [5, 1, 1, 1, 2, 5, 1, 1, 1, 5], k=rng.randrange(1, 12))
    exponent = rng.choice(["", f"e{rng.randrange(-20, 15)}", f"E+{rng.randrange(5)}"])
    return rng.choice(["", "-"]) + str(whole) + rng.choice(["", "." + "".join(digits)]) + exponent


class Amounts(unittest.TestCase):
    def test_are_read_digit_by_digit_from_the_text(self):
        for text, units in AMOUNTS:
            with self.subTest(amount=text):
                self.assertEqual(amount_units(text.encode()), units)

    def test_equal_exact_decimal_arithmetic(self):
        rng = random.Random(3)
        for _ in range(20_000):
            text = random_decimal(rng)
            units = int((Decimal(text) * 10000).to_integral_value(ROUND_HALF_UP))
            expected = units if abs(units) <= MAX_AMOUNT_UNITS else None
            self.assertEqual(amount_units(text.encode()), expected, text)

    def test_giant_numbers_cost_nothing_much(self):
        started = time.process_time()
        self.assertEqual(amount_units(b"0." + b"0" * 500_000 + b"1e500001"), 10000)
        self.assertEqual(amount_units(b"1" + b"0" * 500_000 + b"e-500000"), 10000)
        self.assertEqual(amount_units(b"1" * 1_000_000 + b"e-1000000"), 1111)
        self.assertEqual(amount_units(b"1e-" + b"9" * 1_000_000), 0)
        self.assertIsNone(amount_units(b"1e" + b"9" * 1_000_000))
        self.assertIsNone(amount_units(b"1" * 1_000_000))
        self.assertEqual(amount_units(b"1e" + b"0" * 1_000_000), 10000)
        self.assertLess(time.process_time() - started, 1)

    def test_are_printed_with_four_decimals_and_no_negative_zero(self):
        for units, text in ((0, b"0.0000"), (-1, b"-0.0001"), (1, b"0.0001"), (1295000, b"129.5000"),
                            (-10001, b"-1.0001"),
                            (2 ** 63 - 1, b"922337203685477.5807"), (-2 ** 63, b"-922337203685477.5808")):
            self.assertEqual(userprofile.print_units(units), text)

    def test_sums_wrap_at_64_bits_and_the_maximum_does_not(self):
        values = [event(event_id=f'"e{i}"', amount="1e12") for i in range(923)]
        tags = oracle_of(values).profiles()[b"user:u1"]
        self.assertIn(b'"amount.max":1000000000000.0000,"amount.sum":-921674407370955.1616,', tags)

    def test_the_maximum_may_be_negative(self):
        tags = oracle_of([event(amount="-2"), event(event_id='"e2"', amount="-1.5")]).profiles()[b"user:u1"]
        self.assertIn(b'"amount.max":-1.5000,"amount.sum":-3.5000,', tags)


class Identities(unittest.TestCase):
    def test_the_anchor_is_the_highest_ranking_id(self):
        kinds = ["user", "idcard", "phone", "email", "device", "cookie"]
        for rank, kind in enumerate(kinds):
            ids = {name: "1" for name in reversed(kinds[rank:])}
            self.assertEqual(list(oracle_of(members([("e", 1, ids, {})])).fragments()), [f"{kind}:1".encode()])

    def test_the_newest_evidence_owns_an_id(self):
        for events, owner in (
                ([("a", 1, "u1"), ("b", 2, "u2")], "u2"),
                ([("a", 2, "u1"), ("b", 1, "u2")], "u1"),
                ([("b", 1, "u1"), ("a", 1, "u2")], "u1"),
                ([("e9", 1, "u1"), ("e10", 1, "u2")], "u1"),
                ([("e", 1, "u1"), ("e0", 1, "u2")], "u2"),
                ([("Z", 1, "u1"), ("a", 1, "u2"), ("é", 1, "u3")], "u3"),
                ([("a", 1, "u1"), ("b", 2, "u2"), ("c", 3, "u1")], "u1")):
            values = members([(name, ts, {"user": user, "device": "d"}, {}) for name, ts, user in events])
            with self.subTest(events=events):
                self.assertEqual(oracle_of(values).owners(), {b"device:d": b"user:" + owner.encode()})

    def test_a_user_lists_owned_ids_also_without_events(self):
        profiles = profiles_of(members([("a", 1, {"user": "u1", "phone": "p", "device": "d"}, {})]))
        self.assertEqual(profiles["user:u1"]["ids"], ["device:d", "phone:p", "user:u1"])
        self.assertEqual(list(profiles), ["user:u1"])

    def test_an_owned_fragment_joins_its_user_and_the_anonymous_profile_is_gone(self):
        profiles = profiles_of(members([("a", 1, {"device": "d"}, {}), ("b", 2, {"user": "u1", "device": "d"}, {})]))
        self.assertEqual(list(profiles), ["user:u1"])
        self.assertEqual(profiles["user:u1"]["tags"], {"count": 2, "count.view": 2, "first_seen": 1, "last_seen": 2})

    def test_a_changed_owner_takes_the_fragment_along(self):
        profiles = profiles_of(members([("a", 1, {"user": "u1", "device": "d"}, {}), ("b", 2, {"device": "d"}, {}),
                                        ("c", 3, {"user": "u2", "device": "d"}, {})]))
        self.assertEqual((profiles["user:u1"]["ids"], profiles["user:u1"]["tags"]["count"]), (["user:u1"], 1))
        self.assertEqual((profiles["user:u2"]["ids"], profiles["user:u2"]["tags"]["count"]),
                         (["device:d", "user:u2"], 2))

    def test_links_are_one_hop(self):
        # The cookie seen with the device adds to the device's fragment only; nobody owns the cookie.
        profiles = profiles_of(members([("a", 1, {"user": "u1", "device": "d"}, {}),
                                        ("b", 2, {"device": "d", "cookie": "c"}, {}),
                                        ("c", 3, {"cookie": "c"}, {})]))
        self.assertEqual({yid: profile["tags"]["count"] for yid, profile in profiles.items()},
                         {"user:u1": 2, "cookie:c": 1})
        self.assertEqual(profiles["cookie:c"]["ids"], ["cookie:c"])
        self.assertIs(profiles["cookie:c"]["shared"], False)

    def test_an_unowned_id_that_anchors_nothing_has_no_profile(self):
        self.assertEqual(list(profiles_of(members([("a", 1, {"device": "d", "cookie": "c"}, {})]))), ["device:d"])

    def test_values_with_colons_and_equal_values_of_two_kinds_stay_apart(self):
        profiles = profiles_of(members([("a", 1, {"user": "x", "device": "x"}, {}),
                                        ("b", 1, {"device": "user:x"}, {})]))
        self.assertEqual(sorted(profiles), ["device:user:x", "user:x"])


class Sharing(unittest.TestCase):
    def values(self, users, anonymous=True):
        notes = [(f"e{user}", user, {"user": f"u{user}", "device": "d"}, {}) for user in range(users)]
        if anonymous:
            notes.append(("x", 0, {"device": "d"}, {}))
        return members(notes)

    def test_an_id_of_exactly_n_users_is_owned(self):
        for limit in (1, 2, 64):
            profiles = profiles_of(self.values(limit), fanout_limit=limit)
            self.assertNotIn("device:d", profiles)
            self.assertEqual(profiles[f"user:u{limit - 1}"]["ids"], ["device:d", f"user:u{limit - 1}"])

    def test_an_id_of_more_than_n_users_is_shared(self):
        for limit in (1, 2, 64):
            profiles = profiles_of(self.values(limit + 1), fanout_limit=limit)
            self.assertIs(profiles["device:d"]["shared"], True)
            self.assertEqual(profiles["device:d"]["tags"]["count"], 1)
            for user in range(limit + 1):
                self.assertEqual(profiles[f"user:u{user}"]["ids"], [f"user:u{user}"])
                self.assertIs(profiles[f"user:u{user}"]["shared"], False)

    def test_a_shared_id_that_anchors_nothing_has_no_profile(self):
        self.assertNotIn("device:d", profiles_of(self.values(3, anonymous=False), fanout_limit=2))

    def test_evidence_of_one_user_counts_once(self):
        values = members([(f"e{i}", i, {"user": "u", "device": "d"}, {}) for i in range(100)])
        self.assertEqual(profiles_of(values, fanout_limit=1)["user:u"]["ids"], ["device:d", "user:u"])


class Tags(unittest.TestCase):
    def profile(self, *notes):
        values = members([(f"e{i}", ts, {"user": "u"}, others) for i, (ts, others) in enumerate(notes)])
        return profiles_of(values)["user:u"]

    def test_count_by_type_and_category(self):
        profile = self.profile((5, {"type": '"buy"', "category": '"a"'}), (3, {"type": '"buy"', "category": '""'}),
                               (4, {"type": r'"v\u0069ew"'}))
        self.assertEqual(profile["tags"], {"category.": 1, "category.a": 1, "count": 3, "count.buy": 2, "count.view": 1,
                                           "first_seen": 3, "last_seen": 5})

    def test_the_newest_event_that_has_a_tag_gives_its_value(self):
        profile = self.profile((2, {"tags": '{"a":1,"b":1}'}), (3, {"tags": '{"b":2}'}), (1, {"tags": '{"b":3,"c":3}'}),
                               (3, {"tags": '{"b":"by event_id"}'}), (9, {}))
        self.assertEqual({name: value for name, value in profile["tags"].items() if name.startswith("tag.")},
                         {"tag.a": 1, "tag.b": "by event_id", "tag.c": 3})

    def test_values_are_printed_as_written(self):
        for text in ("1", "1.0", "1e3", "-0", "1E400", "0.10", "true", "false", '"1"', '""'):
            line = oracle_of([event(tags='{"x":%s}' % text)]).profiles()[b"user:u1"]
            self.assertIn(b'"tag.x":' + text.encode() + b"}", line)

    def test_interest_is_the_three_most_frequent_categories(self):
        for categories, interest in (("", []), ("a", ["a"]), ("cba", ["a", "b", "c"]), ("dcbad", ["d", "a", "b"]),
                                     ("abbccc", ["c", "b", "a"]), ("zéA", ["A", "z", "é"])):
            profile = self.profile((0, {}), *[(1, {"category": json.dumps(name)}) for name in categories])
            self.assertEqual(profile["interest"], interest)

    def test_quality_is_clamped(self):
        for counts, quality in (({}, 50), ({"repay": 1}, 55), ({"repay": 11}, 100), ({"buy": 1}, 52), ({"buy": 11}, 70),
                                ({"overdue": 1}, 30), ({"overdue": 3}, 0), ({"overdue": 3, "repay": 4}, 10),
                                ({"repay": 20, "overdue": 5}, 50), ({"Repay": 3}, 50)):
            notes = [(1, {"type": json.dumps(name)}) for name, count in counts.items() for _ in range(count)]
            self.assertEqual(self.profile((1, {}), *notes)["quality"], quality)


class Output(unittest.TestCase):
    def test_the_profile_of_the_specification(self):
        values = members([("e1", 1716200000123, {"user": "u42", "device": "a1"},
                           {"type": '"buy"', "category": '"loans"', "amount": "129.5",
                            "tags": '{"vip":3,"city":"Beijing"}'})])
        self.assertEqual(oracle_of(values).profiles(), {b"user:u42": (
            b'{"yid":"user:u42","ids":["device:a1","user:u42"],"tags":{"amount.max":129.5000,"amount.sum":129.5000,'
            b'"category.loans":1,"count":1,"count.buy":1,"first_seen":1716200000123,"last_seen":1716200000123,'
            b'"tag.city":"Beijing","tag.vip":3},"interest":["loans"],"quality":52,"shared":false}')})

    def test_only_what_must_be_is_escaped(self):
        self.assertEqual(userprofile.quote(b'"\\/\b\f\n\r\t\x00\x1f\x7f' + "é\u2028😀".encode()),
                         rb'"\"\\/\b\f\n\r\t\u0000\u001f' + b"\x7f" + "é\u2028😀".encode() + b'"')

    def test_names_sort_by_their_bytes_before_escaping_and_a_prefix_first(self):
        names = r'{"b":1,"a\n":1,"a":1,"a\"":1,"a!":1,"":1,"\uffff":1,"\ud83d\ude00":1,"a\u0000":1}'
        line = oracle_of([event(tags=names)]).profiles()[b"user:u1"]
        tags = line.partition(b'"last_seen":1000,')[2].partition(b"}")[0]
        self.assertEqual(tags, rb'"tag.":1,"tag.a":1,"tag.a\u0000":1,"tag.a\n":1,"tag.a!":1,"tag.a\"":1,"tag.b":1,'
                         + '"tag.\uffff":1,"tag.😀":1'.encode())

    def test_a_fragment_has_the_tags_of_its_anchor_only(self):
        values = members([("a", 1, {"user": "u1", "device": "d"}, {}), ("b", 2, {"device": "d"}, {"type": '"buy"'})])
        self.assertEqual(oracle_of(values).fragments(), {
            b"user:u1": b'{"yid":"user:u1","tags":{"count":1,"count.view":1,"first_seen":1,"last_seen":1}}',
            b"device:d": b'{"yid":"device:d","tags":{"count":1,"count.buy":1,"first_seen":2,"last_seen":2}}'})

    def test_a_record_over_a_million_bytes_is_replaced(self):
        values = [event(event_id=f'"e{i}"', tags='{"%d":"%s"}' % (i, "x" * 1000)) for i in range(1000)]
        self.assertEqual(oracle_of(values).profiles(), {b"user:u1": b'{"yid":"user:u1","oversize":true}'})

    def test_a_record_of_exactly_a_million_bytes_is_whole(self):
        for size, oversize in ((1_000_000, False), (1_000_001, True)):
            line = userprofile._limit_size(b"user:u", b"x" * size)
            self.assertEqual(line == b'{"yid":"user:u","oversize":true}', oversize)


class DeadLetters(unittest.TestCase):
    def test_have_their_members_in_order(self):
        oracle = Oracle()
        oracle.add(Record(b'a"b', 3, 17, b"key", b"{}", None))
        oracle.add(Record(b"t", 0, 1, None, None, None))
        oracle.add(Record(b"h.gz", -1, 99, None, b"", None))
        self.assertEqual(oracle.dead_letters, [
            rb'{"topic":"a\"b","partition":3,"offset":17,"reason":"missing-member","size":2,"raw":"e30="}',
            b'{"topic":"t","partition":0,"offset":1,"reason":"bad-json","size":0,"raw":""}',
            b'{"topic":"h.gz","partition":-1,"offset":99,"reason":"bad-json","size":0,"raw":""}'])

    def test_keep_the_first_65536_bytes_and_the_full_size(self):
        for size in (65_535, 65_536, 65_537, 1_048_577):
            value = (b"0123456789" * 104_858)[:size]
            letter = json.loads(oracle_of([value]).dead_letters[0])
            self.assertEqual(letter["size"], size)
            self.assertEqual(base64.b64decode(letter["raw"]), value[:65_536])


class Duplicates(unittest.TestCase):
    def test_are_dropped_and_counted(self):
        oracle = oracle_of([event(), event(), event(event_id=r'"\u00651"'), event(event_id='"e2"'), b"{}", b"{}"])
        self.assertEqual(oracle.counters(), {"events_in": 6, "duplicates_dropped": 2, "quarantined": {
            "too-large": 0, "bad-utf8": 0, "bad-json": 0, "missing-member": 2, "bad-member": 0, "unknown-id-kind": 0}})
        self.assertIn(b'"count":2,', oracle.profiles()[b"user:u1"])
        self.assertEqual(oracle.ambiguities(), [])

    def test_an_invalid_event_is_not_remembered(self):
        oracle = oracle_of([event(amount="null"), event(), event(amount="null")])
        self.assertEqual((oracle.duplicates_dropped, oracle.quarantined["bad-member"]), (0, 2))

    def test_with_another_content_are_reported_as_undefined(self):
        self.assertEqual(len(oracle_of([event(), event(amount="1")]).ambiguities()), 1)
        same = [event(tags='{"a":1,"b":2}'), event(tags=' {"b":2,"a":1}', source='""')]
        self.assertEqual(oracle_of(same).ambiguities(), [])

    def test_over_more_than_the_ttl_are_reported_as_undefined(self):
        now = time.time_ns() // 1_000_000
        for first, last, undefined in ((0, 86_399_999, False), (0, 86_400_000, True), (now, 253402300799999, False)):
            values = [event(ts=str(first)), event(ts=str(first)), event(event_id='"e2"', ts=str(last))]
            self.assertEqual(bool(oracle_of(values).ambiguities()), undefined)
        self.assertEqual(oracle_of(values[1:]).ambiguities(), [])


class Order(unittest.TestCase):
    def test_shuffling_the_input_changes_nothing(self):
        rng = random.Random(11)
        values = random_events(rng, 600)
        first = oracle_of(values, fanout_limit=4)
        self.assertTrue(any(b'"shared":true' in line for line in first.profiles().values()))
        for _ in range(8):
            rng.shuffle(values)
            oracle = oracle_of(values, fanout_limit=4)
            self.assertEqual(oracle.profiles(), first.profiles())
            self.assertEqual(oracle.fragments(), first.fragments())
            self.assertEqual(oracle.counters(), first.counters())


def random_events(rng, count):
    """Few users and ids, few timestamps: many ties, owner changes and shared ids; some duplicates and bad ones."""
    values = []
    for i in range(count):
        kinds = [kind for kind in ("user", "phone", "device", "cookie") if rng.random() < 0.4]
        ids = {kind: f"{kind[0]}{rng.randrange(12)}" for kind in kinds}
        values.append(event(event_id=f'"{rng.randrange(10 ** 6)}-{i}"', ts=str(rng.randrange(20)), ids=json.dumps(ids),
                            type=rng.choice(['"view"', '"buy"', '"repay"', '"overdue"']),
                            category=json.dumps(f"c{rng.randrange(5)}"),
                            amount=str(rng.randrange(-10 ** 6, 10 ** 6) / 1000),
                            tags='{"t%d":%d}' % (rng.randrange(3), i)))
    return values + rng.choices(values, k=count // 10)


class Inputs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with (gzip.open if name.endswith(".gz") else open)(path, "wb") as file:
            file.write(data)
        return path

    def test_a_history_is_split_at_line_feeds(self):
        for data, records in ((b"", []), (b"\n", [(0, b"")]), (b"a", [(0, b"a")]), (b"a\n", [(0, b"a")]),
                              (b"a\n\n", [(0, b"a"), (2, b"")]), (b"a\r\nb", [(0, b"a\r"), (3, b"b")]),
                              (b"\n\nab\nc\n", [(0, b""), (1, b""), (2, b"ab"), (5, b"c")])):
            for name in ("x.ndjson", "x.gz"):
                path = self.write(name, data)
                with self.subTest(data=data, name=name):
                    self.assertEqual([(record.topic, record.partition, record.offset, record.value)
                                      for record in inputs.read_history(self.folder)],
                                     [(name.encode(), -1, offset, value) for offset, value in records])
                os.remove(path)

    def test_a_history_has_only_regular_files_directly_in_it(self):
        self.write(".hidden", b"h")
        self.write("b", b"b")
        os.mkdir(os.path.join(self.folder, "below"))
        self.write("below/c", b"c")
        os.symlink("b", os.path.join(self.folder, "link"))
        self.assertEqual([record.value for record in inputs.read_history(self.folder)], [b"h", b"b"])

    def test_a_gz_file_may_have_several_members(self):
        self.write("x", gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
        os.rename(os.path.join(self.folder, "x"), os.path.join(self.folder, "x.gz"))
        self.assertEqual([record.value for record in inputs.read_history(self.folder)], [b"a", b"bc"])

    def test_a_dump_is_read_in_the_order_of_offsets(self):
        lines = [{"partition": p, "offset": o, "key": k, "value": v}
                 for p, o, k, v in ((1, 5, None, "Yg=="), (0, 9, "aw==", None), (1, 4, None, ""))]
        path = self.write("dump", "\n".join(map(json.dumps, lines)).encode())
        self.assertEqual([record[:5] for record in inputs.read_dump([path], b"t")],
                         [(b"t", 0, 9, b"k", None), (b"t", 1, 4, None, b""), (b"t", 1, 5, None, b"b")])

    def test_a_dump_that_repeats_a_position_is_refused(self):
        path = self.write("dump", b'{"partition":0,"offset":1,"key":null,"value":null}\n' * 2)
        with self.assertRaises(inputs.InputError):
            inputs.read_dump([path])

    def run_program(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(HERE, "userprofile.py"), *arguments], capture_output=True,
                              text=True)

    def test_the_program_prints_the_counters(self):
        self.write("x", event() + b"\n" + event() + b"\n\n")
        result = self.run_program("--history", self.folder)
        self.assertEqual((result.returncode, json.loads(result.stdout)["events_in"], result.stderr), (0, 3, ""))

    def test_the_program_prints_one_profile(self):
        self.write("x", event())
        result = self.run_program("--history", self.folder, "--yid", "user:u1")
        self.assertEqual((result.returncode, result.stdout.count("\n"), result.stderr), (0, 2, ""))

    def test_unusable_input_is_one_sentence_and_exit_2(self):
        broken = self.write("broken.gz", b"x" * 5000)
        with open(broken, "r+b") as file:
            file.truncate(20)
        text = self.write("text", b"not a dump\n")
        self.write("below", b"")
        for arguments in ([], ["--history", "/nonexistent"], ["--history", text], ["--kafka", text],
                          ["--history", self.folder],
                          ["--kafka", "/nonexistent"], ["--history", self.folder, "--id-fanout-limit", "0"]):
            result = self.run_program(*arguments)
            with self.subTest(arguments=arguments):
                self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (2, "", 1),
                                 result.stderr)

    def test_an_undefined_result_is_refused_unless_allowed(self):
        self.write("x", event() + b"\n" + event(amount="1"))
        self.assertEqual(self.run_program("--history", self.folder).returncode, 2)
        self.assertEqual(self.run_program("--history", self.folder, "--allow-ambiguous").returncode, 0)


if __name__ == "__main__":
    unittest.main()
