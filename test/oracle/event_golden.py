#!/usr/bin/env python3
"""Writes test/unit/jobs/userprofile/event_golden.tsv: texts, and what the oracle says that they are.

The job's decoder is compared with the oracle case by case, in a unit test that needs no Python. The table is
kept in the tree; test_event_golden.py fails when it is not what this program writes.

A line is a text, a tab, and the reason of its refusal or the event, tags sorted by name:
    event_id|ts|kind:value ...|type|category or -|amount in units or -|name=value|name=value ...
Bytes that are not printable ASCII, and the backslash, are written \\xNN.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import generate_events  # noqa: E402
import userprofile  # noqa: E402

PATH = "test/unit/jobs/userprofile/event_golden.tsv"

IDS = '"event_id":"e","ts":1,"ids":{"user":"u"},"type":"t"'
NESTED = '{"a":' * 63 + "1" + "}" * 63

# Put into a good event, in front of its members and behind them.
MEMBERS = [
    '"x":null', '"x":[]', '"x":{}', '"x":[1,"2",true,null,[{}]]', '"x":-0.0e-0', '"":1', '"x":' + "[" * 63 + "]" * 63,
    '"x":' + NESTED, '"x":' + "[" * 64 + "]" * 64, '"x":"' + r'\u0000\u007f\uFFFF\ud83d\uDE00' + '"',
    r'"x":"\ud83d"', r'"x":"\ud83d\u0041"', r'"x":"\ude00"', r'"x":"\ud83dx"', r'"x":"\u00g0"', r'"x":"\u"',
    '"x":"\\"', r'"x":"\a"', '"x":"\x7f"', '"x":"\x00"', '"x":"a\nb"', '"x": 1 ', '"x"\t:\r1', '"x":1 2', '"x":--1', '"x":1e',
    '"x":1e+', '"x":-', '"x":00', '"x":1.e1', '"x":True', '"x":nul', '"x":[1 2]', '"x":[,]', '"x":{"a"}', '"x":{1:2}',
    '"x":{"a":1,}', '"x":Infinity', '"x":0x1', "'x':1", '"x":1/**/',
    # event_id, ts, type, source, category
    '"event_id":""', '"event_id":"%s"' % ("x" * 256), '"event_id":"%s"' % ("x" * 257), '"event_id":"%s"' % ("é" * 128),
    '"event_id":1', '"event_id":{"a":[1]}', r'"event_id":"\n"', '"event_id":["a\x01"]',
    '"ts":0', '"ts":253402300799999', '"ts":253402300800000', '"ts":1000000000000000', '"ts":-0', '"ts":-1', '"ts":1.0',
    '"ts":1e2', '"ts":"1"', '"ts":null', '"ts":99999999999999999999999999', '"ts":01', '"ts":true', '"ts":[1]',
    '"type":""', '"type":"%s"' % ("x" * 257), '"type":false', r'"type":"\u00e9\/"',
    '"source":""', '"source":"%s"' % ("x" * 257), '"source":null', '"source":1',
    '"category":""', '"category":"%s"' % ("é" * 128), '"category":"%sx"' % ("é" * 128), '"category":null',
    # ids
    '"ids":{}', '"ids":{ }', '"ids":[]', '"ids":"u"', '"ids":null', '"ids":{"user":""}', '"ids":{"user":1}',
    '"ids":{"user":null}', '"ids":{"user":"a","user":"b"}', '"ids":{"user":"","user":"b"}', '"ids":{"phone":"1"}',
    '"ids":{"cookie":"c","device":"d","email":"e","phone":"p","idcard":"i","user":"u"}',
    r'"ids":{"us\u0065r":"\u0061"}', r'"ids":{"user":"a\u001fb"}', r'"ids":{"user":"a\u0020b\u007f"}',
    r'"ids":{"user":"\u0000"}', '"ids":{"user":"%s"}' % ("é" * 128), '"ids":{"user":"%s"}' % ("é" * 129),
    '"ids":{"imei":"1"}', '"ids":{"user":"u","imei":"1"}', '"ids":{"imei":1}', '"ids":{"":"1"}', '"ids":{"User":"1"}',
    '"ids":{"user ":"1"}', '"ids":{"use":"1"}', '"ids":{"imei":""}', '"ids":{"imei":"1"},"ts":null',
    '"ids":{"imei":"1"},"ids":{"user":"u"}', '"ids":{"device":"d"},"ids":{"cookie":"c"}', '"ids":{"user":{"a":"b"}}',
    # amount
    *('"amount":' + text for text in [
        "0", "-0", "0.0", "1", "-1", "0.0001", "0.00005", "0.00004", "0.000049999999999999999999999", "-0.00005",
        "-0.00004", "1.00005", "1.00015", "2.675", "0.99995", "9.99995", "1e0", "1E+4", "1e-4", "5e-5", "49e-6", "1e-5",
        "0.5e-4", "123456789e-9", "0e999999999999999999", "1e-999999999999999999999", "1e12", "-1e12", "1e13",
        "1000000000000", "1000000000000.0000", "1000000000000.00004", "1000000000000.00005", "-1000000000000.00004",
        "999999999999.99994", "999999999999.99995", "0.000000000001e24", "0." + "0" * 400 + "1e401", "1" + "0" * 400
        + "e-400", "1e999999999999999999999", "9" * 17, "9" * 16, "100000000000000000e-5", '"1"', "null", "true", "[]"]),
    '"amount":"x","amount":1', '"amount":1,"amount":2',
    # tags
    '"tags":{}', '"tags":{ }', '"tags":null', '"tags":[]', '"tags":"x"', '"tags":{"a":1,"b":"2","c":true,"d":false}',
    '"tags":{"a":null}', '"tags":{"a":[]}', '"tags":{"a":{"b":1}}', '"tags":{"a":1,"a":"x"}', '"tags":{"a":null,"a":1}',
    '"tags":{"":""}', '"tags":{"a":"%s"}' % ("x" * 1024), '"tags":{"a":"%s"}' % ("x" * 1025),
    '"tags":{"a":%s}' % ("9" * 1024), '"tags":{"a":%s}' % ("9" * 1025), '"tags":{"%s":1}' % ("x" * 256),
    '"tags":{"%s":1}' % ("x" * 257), '"tags":{"a":-0,"b":1.0,"c":1e3,"d":1E+03}', r'"tags":{"\u0061\n":"\"\\\u0001"}',
    '"tags":{"a":1},"tags":{"b":2}', '"tags":{"a":1},"tags":{}', '"tags":{"a":truex}', '"tags":{"":1,"":2,"":3,"":4}',
    # which reason wins
    '"ts":null,"x":01', '"ids":{"imei":"1"},"x":tru', '"ids":{"imei":"1"},"amount":null',
]
TEXTS = [
    "", " ", "null", "1", '"x"', "[]", "[{}]", "{", "}", "{}", "{ }", "{,}", "{}{}", "{} x", "\ufeff{" + IDS + "}",
    " \t\r\n{" + IDS + "}\r\n\t ", "{" + IDS + "},", "{" + IDS, "{" + IDS + ",}", "{" + IDS + "}\x00", "\x00{" + IDS + "}",
    "{" + IDS + "}\u00a0", "\x0c{" + IDS + "}", r'{"\u0065vent_id":"e","\u0074s":1,"id\u0073":{"user":"u"},"type":"t"}',
    '{"event_id":"e","ts":1,"ids":{"user":"u"}}', '{"event_id":"e","ts":1,"type":"t"}',
    '{"event_id":"e","ids":{"user":"u"},"type":"t"}', '{"ts":1,"ids":{"user":"u"},"type":"t"}',
    '{"event_id":1,"ts":null}', '{"ids":{"imei":"1"}}', '{"event_id":null,"ts":null,"ids":null,"type":null}',
    '{"EVENT_ID":"e","ts":1,"ids":{"user":"u"},"type":"t"}',
]


def texts():
    for text in TEXTS:
        yield text.encode()
    for bad in generate_events.BAD_UTF8:
        for where in ('{%s,"x":"%s"}', '{%s}%s', '{%s,"x":tru%s}', '{%s,"ids":"%s"}', '{%s,"%s":1}'):
            yield (where % (IDS, bad)).encode("utf-8", "surrogateescape")
    for member in MEMBERS:
        yield ("{" + member + "," + IDS + "}").encode()
        yield ("{" + IDS + "," + member + "}").encode()


def describe(text):
    try:
        event = userprofile.clean(text)
    except userprofile.Quarantined as refusal:
        return refusal.args[0].encode()
    ids = [kind + b":" + event.ids[kind] for kind in userprofile.KINDS if kind in event.ids]
    fields = [event.event_id, b"%d" % event.ts, b" ".join(ids), event.type,
              b"-" if event.category is None else event.category, b"-" if event.amount is None else b"%d" % event.amount]
    return b"|".join(fields + [name + b"=" + value for name, value in sorted(event.tags.items())])


def escape(text):
    return "".join(chr(byte) if 0x20 <= byte < 0x7f and byte != 0x5c else f"\\x{byte:02x}" for byte in text)


def table():
    return "".join(f"{escape(text)}\t{escape(describe(text))}\n" for text in texts())


if __name__ == "__main__":
    with open(PATH, "w", encoding="ascii") as file:
        file.write(table())
