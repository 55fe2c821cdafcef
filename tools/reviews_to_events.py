#!/usr/bin/env python3
"""Turns real vendor reviews (reviewerId,vendorId,rating,date; CSV, may be .bz2) into events for `userprofile`.

Why: generated users are as regular as their generator; 400,000 real reviewers and 248 vendors are not.

Row n becomes the event `review-<n>`: user = reviewer, category = vendor, amount and tag = rating, ts = the true
date (minutes since 2003, many ties). Row and reviewer are hashed to give some rows further ids, so that
identities are lent, shared and change owners:

    device   3 of 8 rows   of the reviewer's household: four reviewers share it, so its owner changes
    cookie   2 of 8 rows   of the reviewer and the year
    phone    1 of 8 rows   one of 50,000 numbers: given out again and again
    device   1 of 32 rows  the vendor's terminal: more users than any fan-out limit
    no user  1 of 8 rows   anonymous: only the other ids (a device if there are none)

The dates span five years, so give the job and the oracle a larger --dedupe-ttl, for example 3000d.
"""

import argparse
import bz2
import calendar
import csv
import os
import sys
import time
import zlib

# By rating; what a rating has to do with a loan is nothing, but every quality occurs.
TYPES = {"5": "repay", "4": "buy", "3": "view", "2": "click", "1": "overdue", "0": "overdue"}
HEADER = ["reviewerId", "vendorId", "rating", "date"]
NUMBERS = 50_000


class BadReviews(Exception):
    """The input is not the expected CSV; the text is one sentence."""


def read_reviews(path, limit):
    """Yields (row number, reviewer, vendor, rating, date) of at most `limit` rows."""
    opener = bz2.open if path.endswith(".bz2") else open
    with opener(path, "rt", encoding="ascii", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != HEADER:
            raise BadReviews(f"{path} does not start with {','.join(HEADER)}")
        for number, row in enumerate(rows):
            if limit is not None and number >= limit:
                return
            if len(row) != len(HEADER):
                raise BadReviews(f"row {number + 1} of {path} has {len(row)} fields, not {len(HEADER)}")
            yield number, *row


def mix(text):
    """A hash that is the same everywhere; crc32 alone keeps neighbours close, so it is multiplied."""
    return zlib.crc32(text.encode()) * 0x9E3779B97F4A7C15 % 2 ** 64 >> 32


def parse_minutes(date, known={}):
    """Milliseconds since the epoch of `YYYY-MM-DD HH:MM`, taken as UTC; days repeat, so they are remembered."""
    day, minutes = date[:10], int(date[11:13]) * 60 + int(date[14:16])
    if day not in known:
        known[day] = calendar.timegm(time.strptime(day, "%Y-%m-%d"))
    return (known[day] + minutes * 60) * 1000


def identities(number, reviewer, vendor, date):
    """The ids of a row as JSON text; every choice comes from the hash of the row number."""
    choice = mix(f"row {number}")
    ids = []
    if choice & 7:
        ids.append(f'"user":"r{reviewer}"')
    if choice >> 3 & 7 == 0:
        ids.append(f'"phone":"{mix(f"phone {number}") % NUMBERS:05d}"')
    if choice >> 6 & 31 == 0:
        ids.append(f'"device":"terminal-{vendor}"')
    elif choice >> 11 & 7 < 3:
        ids.append(f'"device":"household-{int(reviewer) // 4}"')
    if choice >> 14 & 7 < 2:
        ids.append(f'"cookie":"{mix(f"cookie {reviewer} {date[:4]}"):08x}"')
    return ",".join(ids) or f'"device":"household-{int(reviewer) // 4}"'


def event_line(number, reviewer, vendor, rating, date):
    return (f'{{"event_id":"review-{number}","ts":{parse_minutes(date)},"source":"reviews",'
            f'"ids":{{{identities(number, reviewer, vendor, date)}}},"type":"{TYPES[rating]}",'
            f'"category":"vendor-{vendor}","amount":{rating},"tags":{{"rating":{rating},"month":"{date[:7]}"}}}}\n')


def convert(path, file, limit):
    try:
        for number, reviewer, vendor, rating, date in read_reviews(path, limit):
            file.write(event_line(number, reviewer, vendor, rating, date).encode())
    except (ValueError, KeyError) as error:
        raise BadReviews(f"{path} has a row that is no review ({error!r})") from error


def main():
    parser = argparse.ArgumentParser(description="Turn reviews.csv.bz2 into events for the job userprofile.",
                                     epilog="The dates span five years: use --dedupe-ttl 3000d in the job.")
    parser.add_argument("reviews", metavar="FILE", help="reviewerId,vendorId,rating,date; .bz2 is unpacked")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N rows (default: all)")
    parser.add_argument("--out", default="-", metavar="FILE", help="where to write (default: -, standard output)")
    options = parser.parse_args()
    try:
        with (sys.stdout.buffer if options.out == "-" else open(options.out, "wb")) as file:
            convert(options.reviews, file, options.limit)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (BadReviews, EOFError) as error:
        print(f"reviews_to_events.py: {error}.", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"reviews_to_events.py: {error.filename or options.reviews}: {error.strerror or error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
