"""What the oracle and the verifier read: history directories and dumps of Kafka topics.

A *history directory* holds regular files (not links, not folders); `.gz` is unpacked; records end at line
feeds, an empty line is a record, and the last line feed ends the last record. Offsets count unpacked bytes.

A *dump* is NDJSON written by a consumer that reads committed records only, one object per record:
    {"partition":0,"offset":17,"key":"<base64>"|null,"value":"<base64>"|null}
Records are returned in the order of (partition, offset), wherever they stood in the files. Seeing one position
twice is an error of the dump, not of the engine, and is therefore an InputError.

Both kinds of input become Records. `json` is used for the envelope of a dump only, never for an event.
"""

import base64
import binascii
import gc
import gzip
import json
import os
import re
import stat
import sys
import zlib
from collections import namedtuple

HISTORY_PARTITION = -1
EXIT_SAME, EXIT_DIFFERENT, EXIT_USAGE = 0, 1, 2

# topic and key are bytes (key may be None); where says in words which place the record came from.
Record = namedtuple("Record", "topic partition offset key value where")


class InputError(Exception):
    """An input cannot be used; the text is one sentence that names it."""


def run_tool(main):
    """Runs main() and ends the process: 2 and one sentence on unusable input, main's result otherwise."""
    gc.disable()  # millions of small containers and no cycles: collecting them costs 15 % of the time
    try:
        sys.exit(main())
    except InputError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_USAGE)


def read_history(directory):
    """Yields a Record for every line of every regular file directly in the directory, in name order."""
    for name in sorted(list_directory(directory)):
        path = os.path.join(directory, name)
        if stat.S_ISREG(os.lstat(path).st_mode):
            yield from _read_history_file(path, os.fsencode(name))


def _read_history_file(path, topic):
    offset = 0
    for line in read_lines(path):
        value = line[:-1] if line.endswith(b"\n") else line
        yield Record(topic, HISTORY_PARTITION, offset, None, value, None)
        offset += len(line)


def list_directory(directory):
    try:
        return os.listdir(directory)
    except OSError as error:
        raise InputError(f"cannot read the directory {directory}: {error.strerror}.") from error


def read_lines(path):
    """Yields the lines of a file, line feeds included; a name ending in .gz is unpacked."""
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"cannot unpack {path}: {error}.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error


def read_dump(paths, topic=b""):
    """Returns the records of one topic from its dump files, in the order of (partition, offset)."""
    records = []
    for path in paths:
        for number, line in enumerate(read_lines(path), 1):
            records.append(_read_dump_line(line, topic, f"{path}:{number}"))
    records.sort(key=_position)
    for before, after in zip(records, records[1:]):
        if _position(before) == _position(after):
            raise InputError(f"{after.where} repeats the position of {before.where} "
                             f"(partition {after.partition}, offset {after.offset}).")
    return records


def _position(record):
    return record.partition, record.offset


def _read_dump_line(line, topic, where):
    try:
        entry = json.loads(line)
        partition, offset = entry["partition"], entry["offset"]
        key, value = _unpack(entry["key"]), _unpack(entry["value"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise InputError(f"{where} is not a record of a dump ({error!r}).") from error
    if type(partition) is not int or type(offset) is not int:
        raise InputError(f"{where} has a partition or an offset that is no integer.")
    return Record(topic, partition, offset, key, value, where)


def _unpack(text):
    return None if text is None else base64.b64decode(text, validate=True)


_DURATION_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration_ms(text):
    """Reads 500ms, 1s, 10m, 24h or 7d; a ValueError makes argparse explain."""
    match = re.fullmatch(r"(\d+)(ms|s|m|min|h|d)", text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _DURATION_UNITS_MS[match[2]]


parse_duration_ms.__name__ = "duration"  # what argparse calls the type in its message
