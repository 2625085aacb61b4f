"""What bench/run --filters makes of its measurements: table, summary, CSV file, plot."""

import csv
from dataclasses import dataclass
from functools import cached_property

from . import recall

AUTO = "auto"
FORCED = ("exact", "filter_first", "penalised", "pre_filter", "post_filter")
SORT = "B-tree + sort"
# The peer's: what its planner takes, and the plan without its index.
PEER_PLAN, PEER_SORT = "peer's plan", "peer's sort"
LEAST_RECALL = 0.95
NEAR_BEST, FAR_FROM_BEST = 1.5, 2.5
GENERATED = ("random", "near", "far")
MANY_MATCHING = 2000
COMBINATIONS = 10000
MOST_NAMES = 8  # in a row of the plot's legend
FEW = 60  # a side that has answered fewer queries was given up
COLUMNS = (
    "dataset", "way", "kind", "condition", "matching", "percent", "side", "queries",
    "processor_us", "recall", "rows", "short", "wrong", "chose",
)  # fmt: skip


@dataclass
class Line:
    """One cell answered in one way."""

    sides: dict

    @property
    def auto(self):
        return self.sides[AUTO]

    @cached_property
    def best(self):
        """The cheapest forced strategy that answers properly, None if none does."""
        forced = [self.sides[name] for name in FORCED]
        proper = [m for m in forced if m.short == 0 and m.recall >= LEAST_RECALL]
        return min(proper, key=lambda m: m.seconds, default=None)

    @property
    def ratio(self):
        """How many times as long as the best forced strategy auto takes."""
        return None if self.best is None else self.auto.seconds / self.best.seconds

    @cached_property
    def peer(self):
        """Seconds of the peer's index for our recall, or for its best if it does not get there."""
        others = {AUTO, *FORCED, SORT, PEER_PLAN, PEER_SORT}
        points = [(m.shown_recall, m.seconds) for m in self.sides.values() if m.side not in others]
        if not points:
            return None
        return recall.cost_at(points, min(self.auto.recall, max(r for r, _ in points)))

    @property
    def peers_best(self):
        """Seconds of the cheapest of its plans. What its planner takes may find less than we do."""
        plan = self.sides[PEER_PLAN]
        finds = plan.short == 0 and plan.recall >= min(self.auto.recall, LEAST_RECALL)
        costs = [self.peer, self.sides[PEER_SORT].seconds]
        return min([*costs, plan.seconds] if finds else costs)

    def titles(self):
        """The head of a table whose lines are such."""
        sides = "".join(f" {side[:13]:>13}" for side in self.sides)
        return f"{'':<8}{'kind':<15} {'%':>6} {'rows':>7}{sides} {'x':>6} {'recall':>7}  auto is"

    def text(self):
        cell, ratio = self.auto.cell, self.ratio
        costs = "".join(f" {self.cost(measured):>13}" for measured in self.sides.values())
        return (
            f"{self.auto.way:<8}{cell.kind:<15} {cell.share:>6.3g} {len(cell.matching):>7,}"
            f"{costs} {'' if ratio is None else f'{ratio:.2f}':>6} {self.auto.recall:>7.3f}"
            f"  {self.auto.chose}"
        )

    def cost(self, measured):
        marks = "~" if measured.queries < min(FEW, self.auto.queries) else ""
        marks += "!" if measured.recall < LEAST_RECALL else ""
        marks += "-" if measured.short else ""
        return f"{measured.seconds * 1e6:,.0f}{marks}"

    def good(self):
        auto = self.auto
        return auto.short == 0 and auto.wrong == 0 and auto.recall >= LEAST_RECALL


class Journal:
    """Lines of the table as they are measured, on stdout and in a CSV file: a run that is cut
    off keeps what it has."""

    def __init__(self, path, name):
        self.name = name
        self.file = open(path, "w", encoding="utf-8", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(COLUMNS)
        self.empty = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def add(self, measured):
        """One cell answered in one way."""
        for m in measured:
            self.writer.writerow([
                self.name, m.way, m.cell.kind, m.cell.condition, len(m.cell.matching),
                f"{m.cell.share:.4g}", m.side, m.queries, f"{m.seconds * 1e6:.1f}",
                f"{m.recall:.4f}", f"{m.returned:.2f}", m.short, m.wrong, m.chose,
            ])  # fmt: skip
        self.file.flush()
        line = Line({m.side: m for m in measured})
        if self.empty:
            print(line.titles(), flush=True)
        self.empty = False
        print(line.text(), flush=True)


class Report:
    """The cells of one dataset."""

    def __init__(self, dataset, measured, arguments):
        self.dataset, self.measured, self.arguments = dataset, measured, arguments
        lines = {}
        for m in measured:
            lines.setdefault((m.way, m.cell.condition), {})[m.side] = m
        self.lines = [Line(sides) for sides in lines.values()]
        self.lines.sort(key=lambda line: line.auto.way != "columns")
        self.sides = list(self.lines[0].sides)

    def good(self):
        return all(line.good() for line in self.lines)

    # -------------------------------------------------------------------------------- text

    def text(self):
        data = self.measured[0].cell.dataset
        head = (
            f"{self.dataset.name}: {len(data.base):,} rows, {data.dimensions} dimensions,"
            f" {data.metric}, m = {self.arguments.m}, ef_construction ="
            f" {self.arguments.ef_construction}\n"
            "processor µs of a query (server + client), medians; ! recall below"
            f" {LEAST_RECALL}, - rows missing, ~ given up after fewer than 60 queries,"
            " which took more than six times as long as auto's; x is auto ÷ the best forced without ! and -"
        )
        return "\n\n".join([head, self.table(), self.summary()])

    def table(self):
        return "\n".join([self.lines[0].titles(), *(line.text() for line in self.lines)])

    def summary(self):
        autos = [line.auto for line in self.lines]
        ratios = [line.ratio for line in self.lines if line.ratio is not None]
        out = []
        if ratios:
            near = sum(ratio <= NEAR_BEST for ratio in ratios)
            out += [
                f"auto within {NEAR_BEST} of the best forced strategy: {near} of {len(ratios)}"
                f" cells = {100 * near / len(ratios):.0f} % (goal 95 %)",
                f"worst ratio: {max(ratios):.2f} (goal {FAR_FROM_BEST})",
            ] + self.poor_choices()
        out += [
            f"{sum(m.queries for m in autos):,} combinations of a query and a condition"
            f" (goal {COMBINATIONS:,}): auto returned too few rows in"
            f" {sum(m.short for m in autos)}, and {sum(m.wrong for m in autos)} rows that do not"
            " match",
            f"smallest recall of auto: {min(m.recall for m in autos):.4f} (goal {LEAST_RECALL})",
        ]
        out += self.against_sort() + self.against_peer()
        return "\n".join(out)

    def poor_choices(self):
        return [
            f"    {line.ratio:.2f}: {line.auto.way}, {line.auto.cell.condition}"
            f" ({line.auto.cell.share:.3g} %): {line.auto.chose}, best is {line.best.side}"
            for line in self.lines
            if line.ratio is not None and line.ratio > NEAR_BEST
        ]

    def against_sort(self):
        ratios = [
            line.sides[SORT].seconds / line.auto.seconds
            for line in self.lines
            if len(line.auto.cell.matching) > MANY_MATCHING
        ]
        if not ratios:
            return []
        return [
            f"faster than {SORT} where more than {MANY_MATCHING:,} rows match: at least"
            f" {min(ratios):.2f} times, in the middle {sorted(ratios)[len(ratios) // 2]:.2f}"
            " (goal 2)"
        ]

    def against_peer(self):
        lines = [line for line in self.lines if line.peer is not None]
        if not lines:
            return []
        middling = [line for line in lines if 0.45 <= line.auto.cell.share <= 22] or lines
        least = min(line.peer / line.auto.seconds for line in middling)
        plans = [line.peers_best / line.auto.seconds for line in lines]
        return [
            f"faster than the peer at equal recall, 0.5 to 20 %: at least {least:.2f} times"
            " (goal 5)",
            f"against the peer's best plan: at least {min(plans):.2f} times as fast (goal 0.9)",
        ]

    # ------------------------------------------------------------------------------- files

    def write(self, stem):
        stem.with_name(stem.name + ".txt").write_text(self.text() + "\n", encoding="utf-8")
        self.plot(stem.with_name(stem.name + ".png"))

    def plot(self, path):
        """Time against share, a line for each side; a panel for each way and generated column."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        pairs = pyplot.colormaps["tab20"].colors  # of dark and light
        colours = pairs[::2] + pairs[1::2]
        ways = list(dict.fromkeys(line.auto.way for line in self.lines))
        figure, panels = pyplot.subplots(
            len(ways), len(GENERATED), figsize=(13, 4 * len(ways)),
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for way, row in zip(ways, panels, strict=True):
            for kind, axes in zip(GENERATED, row, strict=True):
                axes.set_prop_cycle(color=colours)
                for side in self.sides:
                    self.curve(axes, way, kind, side)
                axes.set(xscale="log", yscale="log", title=f"{way}, {kind}")
                axes.xaxis.set_major_formatter("{x:g}")
                axes.grid(True, which="both", alpha=0.3)
            row[0].set_ylabel("processor µs of a query")
        for axes in panels[-1]:
            axes.set_xlabel("% of the rows match")
        figure.suptitle(f"{self.dataset.name}; hollow: recall below {LEAST_RECALL} or rows missing")
        handles, names = panels[0][0].get_legend_handles_labels()
        figure.tight_layout(rect=(0, 0.07, 1, 1))
        rows = -(-len(names) // MOST_NAMES)
        figure.legend(handles, names, loc="lower center", ncols=-(-len(names) // rows), fontsize=9)
        figure.savefig(path, dpi=110)
        pyplot.close(figure)

    def curve(self, axes, way, kind, side):
        points = sorted(
            (m for m in self.measured if (m.way, m.cell.kind, m.side) == (way, kind, side)),
            key=lambda m: m.cell.share,
        )
        shares, costs = [m.cell.share for m in points], [m.seconds * 1e6 for m in points]
        auto = side == AUTO
        style = {"color": "black", "linewidth": 2.5, "zorder": 3} if auto else {"linewidth": 1.2}
        (line,) = axes.plot(shares, costs, label=side, **style)
        for m, share, cost in zip(points, shares, costs, strict=True):
            poor = m.short or m.recall < LEAST_RECALL
            axes.plot(share, cost, marker="o", markersize=4, color=line.get_color(),
                      fillstyle="none" if poor else "full", zorder=3)  # fmt: skip
