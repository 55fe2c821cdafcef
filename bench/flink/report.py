"""The results as text, JSON, a page and a chart.

The JSON keeps one list of rows by case and variant, each with when and of which commit it was measured ("measured"). A run
replaces the rows of the cases that it ran and leaves the others, so a comparison may be made in parts.
"""

import collections
import datetime
import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import where  # noqa: E402

HEAD = (f"{'case':<46}{'against':<30} {'Weir M/CPU-s':>13}{'Flink M/CPU-s':>14}{'CPU ratio':>22}{'wall':>7}"
        f"{'RSS MB':>12}{'start ms':>13}  digest")
NOISY_CORES = 0.1
Goal = collections.namedtuple("Goal", "name metric case variant least remark")


def number(value):
    """Three digits that count."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(values):
    if values is None:
        return "-"
    middle, least, greatest = values
    return number(middle) if least == greatest else f"{number(middle)} ({number(least)}-{number(greatest)})"


def both(row, key, told=lambda value: "-" if value is None else f"{value:.0f}"):
    return "/".join(told(row[side] and row[side].get(key)) for side in ("weir", "flink"))


def rate(side):
    return "-" if side is None else number(side["per_cpu_s"][0] / 1e6)


def verdict(row):
    return "-" if row["flink"] is None else "DIFFERENT" if row["void"] else "equal"


def text_row(row):
    """For the one who waits."""
    head = f"{row['case']:<46}{row['variant'] or '-':<30} "
    if row["weir"] is None:
        return f"{head}void: {row['why']}"
    if row["kind"] == "throughput":
        return (f"{head}{rate(row['weir']):>13}{rate(row['flink']):>14}"
                f"{ratio(row['cpu_ratio']):>22}{ratio(row['wall_ratio'] and [row['wall_ratio'][0]] * 3):>7}"
                f"{both(row, 'rss_mb'):>12}{both(row, 'first_ms'):>13}  {verdict(row)}")
    told = {key: both(row, key, number) for key in row["weir"] if isinstance(row["weir"][key], float)}
    told |= {key: both(row, key, ratio) for key in row["weir"] if isinstance(row["weir"][key], list)}
    return head + ", ".join(f"{key} {value}" for key, value in told.items()) + ("  VOID" if row["void"] else "")


# ---------------------------------------------------------------- where it ran


def versions():
    pom = (HERE / "pom.xml").read_text(encoding="utf-8")
    flink, kafka = (re.search(rf"<{name}>(.*?)</", pom).group(1) for name in ("flink.version", "flink.kafka.version"))
    return (f"Weir by {where.first_line('gcc', '--version')}; Flink {flink}, its Kafka connector {kafka}, "
            f"{where.first_line('java', '-version')}")


# ---------------------------------------------------------------- goals


def goals():
    lines = (HERE / "goals.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [Goal(*line.split("\t")) for line in lines]


def above_generator(row, rows):
    """How much less Weir needs for an event above what the generator alone needs, which may be too little to be measured: 0 is
    Flink's side, infinity Weir's; None: nothing can be said of it. Of the medians, of the worst and of the best of all runs."""
    generator = [it for it in rows if it["case"] == "generator" and not it["void"] and it["flink"]]
    if not generator:
        return None

    def above(side, of_query, of_generator):
        return 1 / row[side]["per_cpu_s"][of_query] - 1 / generator[0][side]["per_cpu_s"][of_generator]

    middle, least, most = 0, 1, 2  # of events for a CPU second
    pairs = [(above("weir", one, other), above("flink", other, one)) for one, other in ((middle, middle), (least, most), (most, least))]
    found = [(flink / weir if flink > 0 else 0.0) if weir > 0 else math.inf for weir, flink in pairs]
    return None if max(pairs[0]) <= 0 else found


def value_of(metric, row, rows):
    """Of a row that is compared; None: this one has no such figure."""
    if metric == "cpu":
        return row["cpu_ratio"] and row["cpu_ratio"][0]
    if metric == "above":
        found = above_generator(row, rows)
        return found and found[0]
    if metric == "recovery":
        return row["ratio"][0]
    key = {"start": "first_ms", "rss": "rss_mb"}[metric]
    weir, flink = row["weir"].get(key), row["flink"].get(key)
    return flink / weir if weir and flink else None


def is_about(goal, row):
    return bool(row["flink"] and re.fullmatch(goal.case, row["case"]) and re.fullmatch(goal.variant, row["variant"]))


def reached(goal, rows):
    """(value, row) of each row that the goal is about, least first."""
    found = [(value_of(goal.metric, row, rows), row) for row in rows if is_about(goal, row) and not row["void"]]
    return sorted(((value, row) for value, row in found if value is not None), key=lambda pair: pair[0])


def goal_lines(rows):
    lines, missed = ["| goal | at least | reached | |", "|---|---|---|---|"], []
    for goal in goals():
        found = reached(goal, rows)
        void = sum(is_about(goal, row) and row["void"] for row in rows)
        if not found:
            lines.append(f"| {goal.name} | {goal.least} | not measured | {f'{void} void' if void else ''} |")
            continue
        ends = found[:1] if len(found) == 1 else [found[0], found[-1]]
        short = [row for value, row in found if value < float(goal.least)]
        lines.append(f"| {goal.name} | {goal.least} | " + " to ".join(
            f"{number(value)} ({row['case']} : {row['variant']})" for value, row in ends)
            + (f" | short in {len(short)} of {len(found)}" if short else " | ok") + (f", {void} void |" if void else " |"))
        if short:
            missed.append(f"- **{goal.name}**: {goal.remark}")
    return lines + (["", "What bounds those that are short:", *missed] if missed else [])


# ---------------------------------------------------------------- the page


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def throughput_lines(rows):
    made = []
    for row in rows:
        cells = [row["case"], row["variant"] or "-", rate(row["weir"]), rate(row["flink"])]
        cells += ["void", "void"] if row["void"] else [f"**{ratio(row['cpu_ratio'])}**", ratio(row["wall_ratio"])]
        is_one_record = row["case"] == "generator"
        times = ["-" if is_one_record else both(row, key) for key in ("first_ms", "pause_ms")]
        made.append([*cells, both(row, "rss_mb"), *times, str(row["pairs"])])
    lines = table(["case", "Flink's side", "Weir, M events per CPU-s", "Flink", "**CPU ratio**", "wall ratio", "RSS, MB",
                   "start to first record, ms", "longest pause at the sink, ms", "pairs"], made)
    queries = [(row, above_generator(row, rows)) for row in rows if re.fullmatch(r"q(0|1|2|14|21|22)", row["case"]) and row["flink"]]
    notes = ["Times as much CPU for an event above that of the generator, Flink : Weir: " + ", ".join(
        f"{row['case']} {row['variant']} {ratio(value)}" for row, value in queries if value is not None) + "."] if queries else []
    for key, what in (("broker_cpu_s", "CPU seconds of the broker, not in the figures above"), ("written", "Records written")):
        told = [f"{row['case']} {both(row, key, number)}" for row in rows if row["weir"].get(key) and row["flink"]]
        notes += [f"{what} (Weir's run/Flink's run): {', '.join(told)}."] if told else []
    return lines + ["", *notes]


def latency_lines(rows):
    keys = ("p50_ms", "p99_ms", "p999_ms", "max_ms", "gap_ms", "cpu_s")
    return table(["case", "at", "median, ms", "99 %", "99.9 %", "greatest", "longest gap", "CPU-s", "ratio of the 99 %",
                  "ratio of the gaps"],
                 [[row["case"], row["variant"], *(both(row, key, number) for key in keys),
                   *(("void", "void") if row["void"] else (f"**{ratio(row['p99_ratio'])}**", ratio(row["gap_ratio"])))]
                  for row in rows])


def recovery_lines(rows):
    return table(["case", "Flink's settings", "Weir, a task manager killed, ms", "Weir, only the worker, ms", "Flink, ms", "**ratio**"],
                 [[row["case"], row["variant"] or "-", ratio(row["weir"]["ms"]), ratio(row["weir"]["worker_ms"]),
                   ratio(row["flink"] and row["flink"]["ms"]), f"**{ratio(row['ratio'])}**"] for row in rows])


def idle_lines(rows):
    return table(["", "until ready, s", "CPU, % of a core", "memory of all processes, MB"],
                 [[row["case"], *(both(row, key, number) for key in ("ready_s", "cpu_percent", "rss_mb"))] for row in rows])


SECTIONS = (("throughput", "Events for a CPU second", throughput_lines),
            ("latency", "Latency at a fixed rate (Weir/Flink)", latency_lines),
            ("recovery", "Recovery: kill -9 to the next correct record", recovery_lines),
            ("idle", "A cluster on which nothing runs: job manager, task manager of four slots (Weir/Flink)", idle_lines))


def measured_text(rows):
    """Which cases were measured when, of which commit, and how thoroughly."""
    parts = {}
    for row in rows:
        it = row["measured"]
        parts.setdefault(("full" if it["mode"] == "full" else "quick: small inputs, one pair, the JVM less warm than it could be",
                          it["commit"], it["date"]), {})[row["case"]] = it["seconds"]
    return "\n".join(f"Measured {date} at commit {at} ({mode}; {sum(cases.values()) / 60:.0f} minutes): {', '.join(cases)}."
                     for (mode, at, date), cases in parts.items())


def noise_text(rows):
    used = {row["case"]: max(row[side].get("other_cpu") or 0 for side in ("weir", "flink") if row[side]) for row in rows}
    noisy = {case: cores for case, cores in used.items() if cores > NOISY_CORES}
    if not noisy:
        return "The machine was otherwise idle (at most a tenth of a core was used by others)."
    return (f"**Other processes used up to {max(noisy.values()):.1f} cores meanwhile, so wall times and start-up times are not to "
            f"be trusted, and CPU times only roughly, in: {', '.join(noisy)}.**")


def page(rows):
    told = [row for row in rows if row["weir"]]
    lines = [(HERE / "page.md").read_text(encoding="utf-8").format(
        machine="; ".join(dict.fromkeys(row["measured"]["machine"] for row in rows)),
        versions="; ".join(dict.fromkeys(row["measured"]["versions"] for row in rows)),
        measured=measured_text(rows), noise=noise_text(told))]
    lines += ["## Goals", *goal_lines(told)]
    for kind, title, make in SECTIONS:
        of_kind = [row for row in told if row["kind"] == kind]
        lines += ["", f"## {title}", *make(of_kind)] if of_kind else []
    failed = [f"- {row['case']}: {row['why']}" for row in rows if not row["weir"]]
    lines += ["", "## Void, since a side failed", *failed] if failed else []
    return "\n".join(lines) + "\n\n![chart](RESULTS-FLINK.svg)\n"


# ---------------------------------------------------------------- the chart


ROW, LEFT, WIDTH = 22, 300, 760


def chart(rows):
    """A bar a row from 1 on, on a logarithmic axis: to the right Weir needs less CPU."""
    drawn = [row for row in rows if row["kind"] == "throughput" and row["weir"] and row["flink"] and not row["void"]]
    height = ROW * (len(drawn) + 2)
    most = max([10.0] + [row["cpu_ratio"][2] for row in drawn])
    marks = [mark for mark in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if mark <= most * 1.5]

    def place(value):
        from_log, to_log = math.log10(0.4), math.log10(most * 1.3)
        return LEFT + (WIDTH - LEFT) * (math.log10(max(value, 0.4)) - from_log) / (to_log - from_log)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="8" y="15">events per CPU second, Weir : Flink</text>']
    for mark in marks:
        at = place(mark)
        parts.append(f'<line x1="{at:.1f}" y1="{ROW}" x2="{at:.1f}" y2="{height - 4}" stroke="#ddd"/>'
                     f'<text x="{at:.1f}" y="15" text-anchor="middle" fill="#666">{mark:g}</text>')
    for index, row in enumerate(drawn):
        top, (middle, least, greatest) = ROW * (index + 1) + 4, row["cpu_ratio"]
        low, high = sorted((place(1), place(middle)))
        parts.append(
            f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{row["case"]} : {row["variant"]}</text>'
            f'<rect x="{low:.1f}" y="{top}" width="{high - low:.1f}" height="{ROW - 8}" '
            f'fill="{"#2a7f62" if middle >= 1 else "#b5533c"}"/>'
            f'<line x1="{place(least):.1f}" y1="{top + 7}" x2="{place(greatest):.1f}" y2="{top + 7}" stroke="black"/>'
            f'<text x="{max(high, place(greatest)) + 4:.1f}" y="{top + 12}">{number(middle)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


# ---------------------------------------------------------------- kept


class Results:
    """Written anew behind each case, so that a run that is broken off leaves what it had.

    `order`: names of all cases, as the page is to have them.
    """

    def __init__(self, folder, mode, order):
        self.folder, self.mode, self.order = folder, mode, order
        self.rows = self._read()
        self.where = {"mode": mode, "commit": where.commit(), "machine": where.machine(), "versions": versions()}

    def _read(self):
        path = self.folder / "RESULTS-FLINK.json"
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
            page([row for row in rows if "measured" in row])
        except (ValueError, KeyError, TypeError, AttributeError) as damage:
            sys.exit(f"{path} is not what a comparison has written ({damage!r}): restore it, or delete it to begin anew")
        return [row for row in rows if "measured" in row and row["case"] in self.order]

    def has(self, case):
        """Rows of it that are of this commit and mode, and not void."""
        rows = [row for row in self.rows if row["case"] == case]
        return bool(rows) and all(not row["void"] and row["measured"]["commit"] == self.where["commit"]
                                  and row["measured"]["mode"] == self.mode for row in rows)

    def seconds(self, case):
        """That it took in this mode; 0: not known."""
        return max((row["measured"]["seconds"] for row in self.rows
                    if row["case"] == case and row["measured"]["mode"] == self.mode), default=0)

    def put(self, case, rows, seconds):
        """What was known of the case goes."""
        measured = {**self.where, "date": datetime.date.today().isoformat(), "seconds": round(seconds)}
        self.rows = [row for row in self.rows if row["case"] != case] + [{**row, "measured": measured} for row in rows]
        self.rows.sort(key=lambda row: self.order.index(row["case"]))
        self.write()

    def write(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        made = {"json": json.dumps({"rows": self.rows}, indent=1) + "\n", "md": page(self.rows), "svg": chart(self.rows)}
        for suffix, text in made.items():
            (self.folder / f"RESULTS-FLINK.{suffix}").write_text(text, encoding="utf-8")
