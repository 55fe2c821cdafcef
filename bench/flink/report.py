"""The results as text, JSON, a page and a chart."""

import datetime
import json
import math
import pathlib
import platform
import re
import shutil
import subprocess

HEAD = (f"{'case':<34}{'against':<12}{'Weir M/CPU-s':>13}{'Flink M/CPU-s':>14}{'CPU ratio':>22}{'wall':>7}"
        f"{'RSS MB':>12}{'start ms':>13}  digest")
HERE = pathlib.Path(__file__).resolve().parent


def number(value):
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def ratio(values):
    if values is None:
        return "-"
    middle, least, greatest = values
    return number(middle) if least == greatest else f"{number(middle)} ({number(least)}-{number(greatest)})"


def both(row, key):
    values = [row[side] and row[side][key] for side in ("weir", "flink")]
    return "/".join("-" if value is None else f"{value:.0f}" for value in values)


def rate(side):
    return "-" if side is None else number(side["per_cpu_s"][0] / 1e6)


def verdict(row):
    return "-" if row["flink"] is None else "DIFFERENT" if row["void"] else "equal"


def text_row(row):
    return (f"{row['case']:<34}{row['variant'] or '-':<12}{rate(row['weir']):>13}{rate(row['flink']):>14}"
            f"{ratio(row['cpu_ratio']):>22}{ratio(row['wall_ratio'] and [row['wall_ratio'][0]] * 3):>7}"
            f"{both(row, 'rss_mb'):>12}{both(row, 'first_ms'):>13}  {verdict(row)}")


# ---------------------------------------------------------------- the page


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    return (f"{text.count('processor' + chr(9))} x {model.group(1) if model else 'unknown CPU'}, "
            f"{int(memory.group(1)) >> 20} GB, Linux {platform.release().split('-')[0]}")


def first_line(*argv):
    if not shutil.which(argv[0]):
        return f"no {argv[0]}"
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).splitlines()[0].strip() if done.stdout or done.stderr else "unknown"


def versions():
    pom = (HERE / "pom.xml").read_text(encoding="utf-8")
    flink, kafka = (re.search(rf"<{name}>(.*?)</", pom).group(1) for name in ("flink.version", "flink.kafka.version"))
    commit = first_line("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
    return (f"Weir {commit} ({first_line('gcc', '--version')}); Flink {flink}, its Kafka connector {kafka}, "
            f"{first_line('java', '-version')}")


def idle_text(idle):
    def told(side):
        return (f"{side['ready_s']:.1f} s until ready, {side['cpu_percent']:.1f} % of a core, {side['rss_mb']:.0f} MB"
                if side else "not measured")
    return (f"A cluster on which nothing runs (job manager, task manager of four slots): Weir {told(idle['weir'])}; "
            f"Flink {told(idle['flink'])}.")


def page(rows, idle, how):
    quiet = [max(row[side]["other_cpu"] for side in ("weir", "flink") if row[side]) for row in rows] or [0]
    noise = (f"**Other processes used up to {max(quiet):.1f} cores meanwhile (median {sorted(quiet)[len(quiet) // 2]:.1f}):"
             " wall times and start-up times are not to be trusted, CPU times only roughly.**" if max(quiet) > 0.1 else
             "The machine was otherwise idle (at most a tenth of a core was used by others).")
    lines = [(HERE / "page.md").read_text(encoding="utf-8").format(
        date=how["date"], machine=machine(), versions=versions(), noise=noise, minutes=how["minutes"],
        mode="quick: smaller inputs, so the JVM is less warm than it could be" if how["quick"] else "full",
        pairs=how["pairs"])]
    lines.append("| case | Flink's side | Weir, M events per CPU-s | Flink | **CPU ratio** | wall ratio | RSS, MB | start to "
                 "first record, ms | longest pause at the sink, ms |\n|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cpu, wall = (("void", "void") if row["void"] else (f"**{ratio(row['cpu_ratio'])}**", ratio(row["wall_ratio"])))
        lines.append(f"| {row['case']} | {row['variant']} | {rate(row['weir'])} | {rate(row['flink'])} | {cpu} | {wall} | "
                     f"{both(row, 'rss_mb')} | {both(row, 'first_ms')} | {both(row, 'pause_ms')} |")
    notes = [row for row in rows if row["weir"].get("broker_cpu_s")]
    if notes:
        lines.append("\nCPU seconds of the broker, not in the figures above (Weir's run / Flink's run): " + ", ".join(
            f"{row['case']} {row['weir']['broker_cpu_s']:.1f} / {row['flink']['broker_cpu_s']:.1f}"
            for row in notes if row["flink"]) + ".")
    if idle:
        lines.append("\n" + idle_text(idle))
    return "\n".join(lines) + "\n\n![chart](RESULTS-FLINK.svg)\n"


# ---------------------------------------------------------------- the chart


ROW, LEFT, WIDTH = 22, 300, 760


def chart(rows):
    """A bar a row from 1 on, on a logarithmic axis: to the right Weir needs less CPU."""
    drawn = [row for row in rows if row["cpu_ratio"] and not row["void"]]
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


class Results:
    """Written anew with each case, so that a run that is broken off leaves what it had."""

    def __init__(self, folder, how, is_written):
        self.folder, self.is_written, self.started = folder, is_written, datetime.datetime.now()
        self.how = {**how, "date": self.started.strftime("%Y-%m-%d")}
        self.rows, self.idle = [], None

    def add(self, rows):
        self.rows += rows
        self._write()

    def add_idle(self, weir, flink):
        self.idle = {"weir": weir._asdict(), "flink": flink and flink._asdict()}
        print(idle_text(self.idle), flush=True)
        self._write()

    def _write(self):
        if not self.is_written:
            return
        self.how["minutes"] = round((datetime.datetime.now() - self.started).total_seconds() / 60)
        self.folder.mkdir(parents=True, exist_ok=True)
        made = {"json": json.dumps({"how": self.how, "idle": self.idle, "rows": self.rows}, indent=1) + "\n",
                "md": page(self.rows, self.idle, self.how), "svg": chart(self.rows)}
        for suffix, text in made.items():
            (self.folder / f"RESULTS-FLINK.{suffix}").write_text(text, encoding="utf-8")
