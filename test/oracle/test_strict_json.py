"""The strict JSON parser: tables of what is JSON and what is not, and a cross-check with Python's own parser."""

import json
import random
import unittest

import strict_json
from strict_json import ARRAY, NUMBER, OBJECT, STRING, WORD, BadJson, parse_object

GOOD = [
    (b"{}", []),
    (b" \t\r\n{ \t\r\n} \t\r\n", []),
    (b'{"a":1}', [(b"a", NUMBER, b"1")]),
    (b'{ "a" : 1 , "b" : "x" }', [(b"a", NUMBER, b"1"), (b"b", STRING, b"x")]),
    (b'{"a":1,"a":"2"}', [(b"a", NUMBER, b"1"), (b"a", STRING, b"2")]),
    (b'{"a":true,"b":false,"c":null}', [(b"a", WORD, b"true"), (b"b", WORD, b"false"), (b"c", WORD, b"null")]),
    (b'{"a":{},"b":[],"c":[1,"x",[{}],null]}', [(b"a", OBJECT, []), (b"b", ARRAY, None), (b"c", ARRAY, None)]),
    (b'{"a":{"b":{"c":""}}}', [(b"a", OBJECT, [(b"b", OBJECT, [(b"c", STRING, b"")])])]),
    (b'{"":""}', [(b"", STRING, b"")]),
    (rb'{"\u0074s":"\"\\\/\b\f\n\r\t"}', [(b"ts", STRING, b'"\\/\b\f\n\r\t')]),
    (rb'{"a":"\u0000\u001f\u007f\u00e9\u20AC"}', [(b"a", STRING, b"\x00\x1f\x7f\xc3\xa9\xe2\x82\xac")]),
    (rb'{"a":"\ud83d\ude00\uDBFF\uDFFF"}', [(b"a", STRING, "\U0001f600\U0010ffff".encode())]),
    (rb'{"a":"\\ud83d\\"}', [(b"a", STRING, rb"\ud83d" + b"\\")]),
    ('{"é":"京\x7f\ufeff"}'.encode(), [("é".encode(), STRING, "京\x7f\ufeff".encode())]),
]
GOOD_NUMBERS = [b"0", b"-0", b"1", b"-12", b"1.0", b"0.001", b"1e3", b"1E+3", b"1e-003", b"-0.0e0", b"1e999999999999",
                b"123456789012345678901234567890"]
BAD = [
    b"", b" ", b"null", b"1", b'"x"', b"[]", b"[{}]", b"{", b"}", b"{}}", b"{}{}", b"{} {}", b"{},", b"{} x",
    b"\xef\xbb\xbf{}", b"{}\xef\xbb\xbf", b"{}\x00", b"\x0b{}", b"{\x0c}", b"{}\xc2\xa0",
    b"{,}", b'{"a":1,}', b'{,"a":1}', b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"a"}', b'{"a":}', b'{"a",1}', b'{a:1}',
    b"{'a':1}", b'{"a":1;"b":2}', b'{"a"::1}', b'{1:2}', b'{"a":1', b'{"a":"x', b'{"a":"x}', b'{"a":[1,]}',
    b'{"a":[,]}',
    b'{"a":[1 2]}', b'{"a":[1}', b'{"a":{]}', b'{"a":[)}', b'{"a":[1', b'{"a":[', b'{"a":{', b'{"a":[]',
    b'{"a":{}"b":1}', b'{"a":[]"b":1}', b'{"a":[[]1]}', b'{"a":[{}{}]}', b'{"a":[:]}', b'{"a":["b":1]}', b'{"a":{1}}',
    b'{"a":tru}', b'{"a":TRUE}', b'{"a":True}', b'{"a":nul}', b'{"a":truee}', b'{"a":NaN}', b'{"a":Infinity}',
    b'{"a":-Infinity}', b'{"a":undefined}', b'{"a":1}//', b'{/**/"a":1}', b'{"a":(1)}',
    b'{"a":"\x00"}', b'{"a":"\x1f"}', b'{"a":"\n"}', b'{"a":"\t"}', b'{"\t":1}',
    rb'{"a":"\x41"}', rb'{"a":"\a"}', rb'{"a":"\u12"}', rb'{"a":"\u12g4"}', rb'{"a":"\U0041"}', rb'{"a":"\'"}',
    b'{"a":"\\"}',
    b'{"a":"\\', rb'{"a":"\u+123"}',
    rb'{"a":"\ud800"}', rb'{"a":"\udc00"}', rb'{"a":"\ud83dx"}', rb'{"a":"\ud83d\n"}', rb'{"a":"\ud83d\ud83d"}',
    rb'{"a":"\ud83d\ud83d\ude00"}', rb'{"a":"\ude00\ud83d"}', rb'{"\ud800":1}', rb'{"a":["\ud800"]}',
    rb'{"a":{"b":[{"c":"\udfff"}]}}', rb'{"a":"\ud83d\\ude00"}',
]
BAD_NUMBERS = [b"01", b"-01", b"00", b"+1", b"-", b".5", b"1.", b"-.5", b"1.e3", b"1e", b"1e+", b"1e1.5", b"0x10",
               b"1_000",
               b"--1", b"1-", b"1 2", b"1e3e3", b"\xd9\xa1"]


def nested_arrays(depth):
    """An object whose deepest array is at the given depth; the object itself is at 1."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


class StrictJson(unittest.TestCase):
    def test_accepts_what_is_json_and_returns_its_members(self):
        for text, members in GOOD:
            with self.subTest(text=text):
                self.assertEqual(parse_object(text), members)

    def test_keeps_numbers_as_they_are_written(self):
        for number in GOOD_NUMBERS:
            for text in (b'{"a":%s}', b'{"a": %s }', b'{"a":%s,"b":1}'):
                with self.subTest(number=number):
                    self.assertEqual(parse_object(text % number)[0], (b"a", NUMBER, number))
            self.assertEqual(parse_object(b'{"a":[%s,%s]}' % (number, number)), [(b"a", ARRAY, None)])

    def test_refuses_what_is_not_exactly_one_object(self):
        for text in BAD:
            with self.subTest(text=text), self.assertRaises(BadJson):
                parse_object(text)

    def test_refuses_numbers_outside_the_grammar(self):
        for number in BAD_NUMBERS:
            for text in (b'{"a":%s}', b'{"a":[%s]}', b'{"a":%s,"b":1}'):
                with self.subTest(number=number), self.assertRaises(BadJson):
                    parse_object(text % number)

    def test_nests_64_deep_and_no_deeper(self):
        self.assertEqual(parse_object(nested_arrays(64)), [(b"a", ARRAY, None)])
        with self.assertRaises(BadJson):
            parse_object(nested_arrays(65))
        self.assertEqual(len(parse_object(b'{"a":' * 63 + b"{}" + b"}" * 63)), 1)
        with self.assertRaises(BadJson):
            parse_object(b'{"a":' * 64 + b"{}" + b"}" * 64)
        parse_object(b'{"a":' * 64 + b"1" + b"}" * 64)

    def test_a_million_hostile_bytes_take_linear_time(self):
        for text in (b'{"a":"' + b"x" * 1_000_000, b'{"a":' + b"1" * 1_000_000, b'{"a":"' + b"\\n" * 500_000,
                     b'{"a":' + b" " * 1_000_000, b'{"a":' + b"[" * 1_000_000, b" " * 1_000_000,
                     b'{"a":1e' + b"1" * 1_000_000 + b"x}", b"{" + b'"a":1,' * 160_000):
            with self.assertRaises(BadJson):
                parse_object(text)

    def test_agrees_with_another_parser_on_mutated_texts(self):
        rng = random.Random(7)
        seeds = [text for text, _ in GOOD] + BAD + [b'{"ids":{"user":"u1"},"amount":-1.5e+3,"tags":{"a":[true,null]}}']
        accepted = 0
        for _ in range(20_000):
            text = mutate(rng, rng.choice(seeds))
            expected = reference(text)
            if expected is None:
                continue
            try:
                parse_object(text)
                actual = True
            except BadJson:
                actual = False
            self.assertEqual(actual, expected, text)
            accepted += expected
        self.assertGreater(accepted, 500)


ALPHABET = [b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b" ", b"0", b"1", b"-", b".", b"e", b"+", b"u", b"d800",
            b"\\u",
            b"\\ude00", b"true", b"null", b"\t", b"\n", b"\x00", b"\x0b", b"NaN", b"{}", b"[]", b'"a":1', "é".encode()]


def mutate(rng, text):
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice([b"", rng.choice(ALPHABET)]) + text[at + rng.randrange(2):]
    return text


def reference(text):
    """What Python's parser says, made strict; None where the text is not UTF-8."""
    def refuse(name):
        raise ValueError(name)
    try:
        value = json.loads(text.decode(), parse_constant=refuse, parse_float=str, parse_int=str)
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except UnicodeDecodeError:
        return None
    except ValueError:  # UnicodeEncodeError is one
        return False
    return isinstance(value, dict) and repeated_members_hide_no_surrogate(text)


def repeated_members_hide_no_surrogate(text):
    """A dict forgets the earlier of two equal names; checks the pairs instead."""
    def pairs(members):
        for member in members:
            json.dumps(member, ensure_ascii=False).encode()
        return dict(members)
    try:
        json.loads(text, object_pairs_hook=pairs)
    except UnicodeEncodeError:
        return False
    return True


class Unescape(unittest.TestCase):
    def test_replaces_from_left_to_right_once(self):
        for text, expected in ((rb"\\n", rb"\n"), (rb"\\\n", b"\\\n"), (rb"\u005cn", rb"\n"), (rb"\/", b"/")):
            self.assertEqual(strict_json.unescape(text), expected)


if __name__ == "__main__":
    unittest.main()
