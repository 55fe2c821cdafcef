#!/usr/bin/env python3
"""Runs the benchmarks, keeps what they print, and makes the page of it.

What   build/bin/bench_* and bench/*.py print lines of name TAB value TAB unit TAB goal TAB ok|short|-; all other lines are
       remarks for the terminal. The lines go into RESULTS.tsv, in place of those which their program had, each with the
       commit, the day and the machine; RESULTS.md is made anew of all, by bench/page.md. So the results can be
       measured in parts; a program that fails leaves those that it had, and the exit status is 1.
How    bench.py [--only TEXT] [--out DIR] [--page]; `make bench`, which builds before.
Limits A program may take half an hour; what has no goal is in RESULTS.tsv, not on the page.
"""

import argparse
import datetime
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import host_memory  # noqa: E402
import where  # noqa: E402

LIMIT_S = 1800
FIELDS = ("name", "value", "unit", "goal", "verdict")
COLUMNS = ("program", *FIELDS, "commit", "date", "machine")


# ---------------------------------------------------------------- running


def programs(text):
    """Name and path of those whose name contains the text."""
    found = {it.name.removeprefix("bench_"): it for it in sorted((ROOT / "build/bin").glob("bench_*"))}
    found |= {it.stem: it for it in sorted((ROOT / "bench").glob("*.py"))}
    return {name: path for name, path in found.items() if text in name and os.access(path, os.X_OK)}


def rows_in(line):
    fields = line.rstrip("\n").split("\t")
    return [dict(zip(FIELDS, fields))] if len(fields) == len(FIELDS) else []


def run(path):
    """The rows that it prints; None: it failed."""
    rows = []
    host_memory.take()
    with subprocess.Popen([path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.alarm(LIMIT_S)
        for line in process.stdout:
            print(line, end="", flush=True)
            rows += rows_in(line)
        status = process.wait()
        signal.alarm(0)
    return rows if status == 0 else None


# ---------------------------------------------------------------- kept


def read(path):
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(COLUMNS, line.split("\t"))) for line in lines[1:]]


def write(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(COLUMNS), *("\t".join(row[column] for column in COLUMNS) for row in rows)]
    (folder / "RESULTS.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(page(rows), encoding="utf-8")


def replaced(rows, program, new):
    """The new ones are where the program's were, or at the end."""
    at = next((i for i, row in enumerate(rows) if row["program"] == program), len(rows))
    return rows[:at] + new + [row for row in rows[at:] if row["program"] != program]


# ---------------------------------------------------------------- the page


def number(text):
    """With commas between thousands, and no more digits behind the point than say something."""
    try:
        value = float(text)
    except ValueError:
        return text
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if "." in text and value != round(value) else f"{value:.0f}"


def result_table(rows):
    lines = ["| what | measured | goal | | by |", "|---|---|---|---|---|"]
    for row in rows:
        if row["verdict"] != "-":
            lines.append(f"| {row['name']} | {number(row['value'])} {row['unit']} | {number(row['goal'])} | {row['verdict']} | "
                         f"`{row['program']}` |")
    return "\n".join(lines)


def measured_text(rows):
    parts = {}
    for row in rows:
        parts.setdefault((row["machine"], row["date"], row["commit"]), {})[row["program"]] = True
    return "\n".join(f"- {machine}, {date}, commit {commit}: {', '.join(names)}" for (machine, date, commit), names in parts.items())


def page(rows):
    text = (ROOT / "bench/page.md").read_text(encoding="utf-8")
    return text.format(measured=measured_text(rows), results=result_table(rows))


# ---------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="programs whose names contain it")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench", help="where the results are kept; default bench")
    parser.add_argument("--page", action="store_true", help="the page anew of what is kept, and nothing else")
    args = parser.parse_args()
    rows, failed = read(args.out / "RESULTS.tsv"), []
    if args.page:
        return write(args.out, rows)
    chosen = programs(args.only)
    if not chosen:
        parser.error(f"no benchmark has '{args.only}' in its name: " + ", ".join(programs("")))
    of_now = {"commit": where.commit(), "date": datetime.date.today().isoformat(), "machine": where.machine()}
    for name, path in chosen.items():
        print(f"---- {name}", flush=True)
        measured = run(path)
        if measured is None:
            failed.append(name)
        elif measured:
            rows = replaced(rows, name, [{"program": name, **row, **of_now} for row in measured])
            write(args.out, rows)
    return f"failed: {', '.join(failed)}" if failed else None


if __name__ == "__main__":
    sys.exit(main())
