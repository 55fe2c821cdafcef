"""Strict JSON over bytes: exactly RFC 8259, nothing remembered and nothing forgiven.

What: parse_object(text) turns one JSON object into a list of members (name, kind, value), in the order
written and with repeated names kept. A BadJson is raised for everything else.

Why not the json module: the job's cleaning rules need what it throws away (repeated members, a number as it
was written) and refuse what it lets through (half a surrogate pair, NaN, any depth, a byte order mark).

How: the text is UTF-8 that the caller has already checked, so it is matched as bytes. One regular expression
matches a whole member whose value is no container; containers recurse, at most MAX_DEPTH deep. All
repetitions are possessive, so the time is linear in the text however hostile it is.

    kind    value
    STRING  bytes, unescaped, UTF-8
    NUMBER  bytes, as written
    WORD    b"true", b"false" or b"null"
    OBJECT  list of members
    ARRAY   None: elements are checked, and not kept, since no rule looks into an array
"""

import re

MAX_DEPTH = 64

STRING, NUMBER, WORD, OBJECT, ARRAY = "string", "number", "word", "object", "array"


class BadJson(Exception):
    """The text is not exactly one JSON object."""


# Only single characters are repeated possessively: up to 3.11.2, which Debian 12 has, Python does not go back
# to where an iteration of a possessive group began when that fails, and takes "1." for a number.
_SPACE = rb"[ \t\n\r]*+"
_TEXT = (rb'"([^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*)"')
_DIGITS = rb"(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)"
_SCALAR = _TEXT + b"|" + _DIGITS + b"|(true|false|null)"
_OPENING = rb"([{\[])"

_START = re.compile(_SPACE + rb"\{")
_END = re.compile(_SPACE + rb"\Z")
_CLOSED_OBJECT = re.compile(_SPACE + rb"\}")
_CLOSED_ARRAY = re.compile(_SPACE + rb"\]")
_AFTER_IN_OBJECT = re.compile(_SPACE + rb"([,}])")
_AFTER_IN_ARRAY = re.compile(_SPACE + rb"([,\]])")
# Groups: name, string, number, word, the separator after those, or the bracket that opens a container.
_MEMBER = re.compile(_SPACE + _TEXT + _SPACE + b":" + _SPACE
                     + b"(?:(?:" + _SCALAR + b")" + _SPACE + rb"([,}])|" + _OPENING + b")")
_ELEMENT = re.compile(_SPACE + b"(?:(?:" + _SCALAR + b")" + _SPACE + rb"([,\]])|" + _OPENING + b")")

# A pair of surrogates, any other \uXXXX, or a single-character escape; in this order.
_ESCAPE = re.compile(rb"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))")
_SHORT_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r",
                  b"t": b"\t"}


def parse_object(text):
    """Returns the members of the one JSON object in `text` (bytes, valid UTF-8), or raises BadJson."""
    start = _START.match(text)
    if start is None:
        raise BadJson("no object")
    members, at = _parse_members(text, start.end(), 1, b"\\" in text)
    if _END.match(text, at) is None:
        raise BadJson("something follows the object")
    return members


def _parse_members(text, at, depth, escaped):
    """Parses from behind a '{' and returns the members and the position behind the '}'.

    `escaped` says whether the text has any escape at all: most have none, and asking once is faster.
    """
    members = []
    separator = b","
    match_member = _MEMBER.match
    while separator == b",":
        match = match_member(text, at)
        if match is None:
            return [], _end_of_empty(_CLOSED_OBJECT, text, at, members)
        name, string, number, word, separator, opening = match.groups()
        at = match.end()
        if escaped:
            name = unescape(name)
            string = string and unescape(string)
        if string is not None:
            members.append((name, STRING, string))
        elif number is not None:
            members.append((name, NUMBER, number))
        elif word is not None:
            members.append((name, WORD, word))
        else:
            kind, value, at = _parse_container(text, at, opening, depth + 1, escaped)
            members.append((name, kind, value))
            match = _AFTER_IN_OBJECT.match(text, at)
            if match is None:
                raise BadJson("a value is followed by neither a comma nor a brace")
            separator, at = match.group(1), match.end()
    return members, at


def _parse_elements(text, at, depth, escaped):
    """Parses from behind a '[' and returns the position behind the ']'."""
    parsed = False
    separator = b","
    while separator == b",":
        match = _ELEMENT.match(text, at)
        if match is None:
            return _end_of_empty(_CLOSED_ARRAY, text, at, parsed)
        parsed = True
        string, _, _, separator, opening = match.groups()
        at = match.end()
        if escaped and string:
            unescape(string)
        if opening is not None:
            _, _, at = _parse_container(text, at, opening, depth + 1, escaped)
            match = _AFTER_IN_ARRAY.match(text, at)
            if match is None:
                raise BadJson("a value is followed by neither a comma nor a bracket")
            separator, at = match.group(1), match.end()
    return at


def _parse_container(text, at, opening, depth, escaped):
    if depth > MAX_DEPTH:
        raise BadJson("nested too deep")
    if opening == b"{":
        members, at = _parse_members(text, at, depth, escaped)
        return OBJECT, members, at
    return ARRAY, None, _parse_elements(text, at, depth, escaped)


def _end_of_empty(closing, text, at, parsed):
    """Where nothing more could be parsed: right only behind the opening bracket of an empty container."""
    match = closing.match(text, at)
    if parsed or match is None:
        raise BadJson("no member or element")
    return match.end()


def unescape(text):
    """Replaces the escapes of a string that the grammar has accepted; half a surrogate pair is BadJson."""
    return _ESCAPE.sub(_replacement, text)


def _replacement(match):
    high, low, single, short = match.groups()
    if short is not None:
        return _SHORT_ESCAPES[short]
    if single is not None:
        code = int(single, 16)
        if 0xD800 <= code <= 0xDFFF:
            raise BadJson("half a surrogate pair")
    else:
        code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    return chr(code).encode("utf-8")
