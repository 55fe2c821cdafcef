"""Does it leak? Series of measurements over hours, the slope of each by a robust estimator, and a verdict.

What   A Series is what one gauge has said over time, in lives: of a process that is killed and started again each
       process is a life, and no two lives are compared. judge() says by how much it has risen over its longest life, and
       whether that is more than LIMITS allow. Table, TSV and SVG of all of them are for people.
How    Theil-Sen: the median of the slopes of all pairs of samples of one life, over all lives. Up to 29 % of the samples may
       be anything (a restart, a compaction, a full disk): they do not move it. A trend, or a step at every fault, does.
       The beginning of each life is left out: what fills caches, pools and tables of connections is no leak.
Limits Series of less than SAMPLES_MIN steady samples, or a life of less than SPAN_MIN_S, are too short to be judged.
"""

import collections
import html
import statistics

SAMPLES_MIN = 12
SPAN_MIN_S = 300
PAIRS_MAX = 400_000  # of one life; beyond that every k-th sample is taken
HOUR_S = 3600

# How much may a series rise over its longest steady life, by its unit: (as much, or this share of its median).
#   bytes    Of memory. The allocator keeps what was freed, and histories fill up: in forty minutes job managers rose by 1.0 MiB,
#            other processes by half of that at most. Over a life of half an hour, with three checkpoints a second, 2 MiB are
#            390 bytes a checkpoint.
#   disk     Of a directory. RocksDB's files come and go in megabytes, so its middle wanders with the phase of the
#            compactions; what is never deleted passes an eighth within minutes.
#   fds, threads, transactions   Whole things, of which one too many may be a connection that is being set up; what leaks
#            at every fault, or at every hundredth checkpoint, is more than two in two hours.
#   files    Descriptors of a worker. RocksDB has its files open: of a job with 97 keys 27 to 57 and back in 150 s, so a life
#            of ten minutes seemed to rise by 5, and one of userprofile by 23 of 154. One lost every 80 checkpoints still shows.
#   records  Of lag: what flows in between two commits of positions is not behind, and there are rates of thousands.
Limit = collections.namedtuple("Limit", "floor share")
LIMITS = {"bytes": Limit(2 << 20, 0.04), "disk": Limit(4 << 20, 0.125), "fds": Limit(2, 0), "files": Limit(2, 0.5),
          "threads": Limit(2, 0), "transactions": Limit(0.5, 0), "records": Limit(10_000, 0)}

Verdict = collections.namedtuple("Verdict", "series count lives median slope rise limit is_judged is_well")


class Series:
    """`unit` is one of LIMITS; `warm_up_s`: how much of each life is left out; `over` what the x axis counts."""

    def __init__(self, name, unit, warm_up_s=0.0, over="seconds"):
        self.name, self.unit, self.warm_up_s, self.over = name, unit, warm_up_s, over
        self.lives = collections.defaultdict(list)  # each [(x, value)], x never falls

    def add(self, life, x, value):
        self.lives[life].append((float(x), float(value)))

    def steady(self):
        """The samples behind the warm-up, of each life that has two of them."""
        found = []
        for samples in self.lives.values():
            kept = [(x, value) for x, value in samples if x - samples[0][0] >= self.warm_up_s]
            if len(kept) >= 2:
                found.append(kept)
        return found


def theil_sen(lives):
    """The median slope of all pairs of two samples of one life; 0 where there is no pair."""
    slopes = []
    for samples in lives:
        stride = 1 + len(samples) ** 2 // 2 // PAIRS_MAX
        chosen = samples[::stride]
        for at, (x, value) in enumerate(chosen):
            slopes += [(other - value) / (then - x) for then, other in chosen[at + 1:] if then > x]
    return statistics.median(slopes) if slopes else 0.0


def judge(series):
    lives = series.steady()
    values = [value for samples in lives for _, value in samples]
    span = max((samples[-1][0] - samples[0][0] for samples in lives), default=0)
    slope = theil_sen(lives)
    median = statistics.median(values) if values else 0.0
    limit = max(LIMITS[series.unit].floor, LIMITS[series.unit].share * median)
    is_judged = len(values) >= SAMPLES_MIN and (span >= SPAN_MIN_S or series.over != "seconds")
    rise = slope * span
    return Verdict(series, len(values), len(lives), median, slope, rise, limit, is_judged, not is_judged or rise <= limit)


# ---------------------------------------------------------------- for people


def shown(unit, value):
    if unit in ("bytes", "disk"):
        return f"{value / (1 << 20):.2f} MiB"
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"


def table(verdicts):
    """Aligned text; the last column is ok, LEAK or too short."""
    rows = [("series", "samples", "lives", "median", "slope", "rise", "limit", "")]
    for it in verdicts:
        unit, over = it.series.unit, it.series.over
        slope = f"{shown(unit, it.slope * HOUR_S)}/h" if over == "seconds" else f"{it.slope:.0f}/{over.rstrip('s')}"
        word = "too short" if not it.is_judged else "ok" if it.is_well else "LEAK"
        rows.append((it.series.name, str(it.count), str(it.lives), shown(unit, it.median), slope, shown(unit, it.rise),
                     shown(unit, it.limit), word))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])]
        lines.append("  ".join(cells + [row[-1]]).rstrip())
    return "\n".join(lines)


def tsv(all_series):
    lines = ["series\tunit\tover\tlife\tx\tvalue"]
    for series in all_series:
        for life, samples in series.lives.items():
            lines += [f"{series.name}\t{series.unit}\t{series.over}\t{life}\t{x:.1f}\t{value:.0f}" for x, value in samples]
    return "\n".join(lines) + "\n"


WIDTH, HEIGHT, LEFT, TOP = 900, 120, 60, 18


def svg(all_series, marks=()):
    """A panel for each series, a line for each life; `marks`: [(x, title)] are upright lines in panels over seconds."""
    panels = [_panel(series, LEFT + number * (HEIGHT + 2 * TOP), marks) for number, series in enumerate(all_series)]
    height = LEFT + len(panels) * (HEIGHT + 2 * TOP)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * LEFT}" height="{height}" '
            'font-family="sans-serif" font-size="11">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *panels, "</svg>"]) + "\n"


def _panel(series, top, marks):
    samples = [sample for life in series.lives.values() for sample in life]
    if not samples:
        return ""
    end, most = max(x for x, _ in samples) or 1, max(value for _, value in samples) or 1

    def at(x, value):
        return f"{LEFT + x / end * WIDTH:.1f},{top + HEIGHT - value / most * HEIGHT:.1f}"
    parts = [f'<text x="{LEFT}" y="{top - 4}">{html.escape(series.name)}: up to {shown(series.unit, most)}</text>',
             f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>']
    for x, title in marks if series.over == "seconds" else ():
        place = LEFT + min(x / end, 1) * WIDTH
        parts.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{top + HEIGHT}" stroke="#eab">'
                     f"<title>{html.escape(title)}</title></line>")
    for life in series.lives.values():
        points = " ".join(at(x, value) for x, value in life)
        parts.append(f'<polyline points="{points}" fill="none" stroke="#247" stroke-width="1.2"/>')
    return "\n".join(parts)
