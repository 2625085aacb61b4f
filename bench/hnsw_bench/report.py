"""The table, the CSV file and the plot of one dataset."""

from dataclasses import dataclass

from .recall import RECALLS, K

OURS = "hnsw"
WITHOUT_SERVER = "hnsw, no server"
LIBRARY = "hnswlib"
QUERY = "query, processor s"


@dataclass
class Line:
    """One line of the table: what ours and the other's cost or give, and how they compare.

    The ratio says by how much ours is better, or, where that is how the goal is put, ours ÷ theirs.
    """

    what: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    goal: str

    def text(self):
        shown = [f"{self.what:<58}", number(self.ours), number(self.theirs)]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return f"{shown[0]} {shown[1]:>11} {shown[2]:>11} {ratio:>8}  {self.goal}".rstrip()


def number(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.2g}"


def divided(numerator, denominator):
    return None if numerator is None or not denominator else numerator / denominator


def inverse(value):
    return divided(1, value)


class Table:
    """The lines that a dataset's results give."""

    def __init__(self, results, peer):
        self.results, self.peer, self.lines = results, peer, []
        self.queries()
        self.libraries()
        self.buffers()
        self.upkeep()
        self.clients()

    def both(self, what):
        return self.results.median(OURS, what), self.results.median(self.peer, what)

    def both_at(self, what, recall):
        at = self.results.at_recall
        return at(OURS, what, recall), at(self.peer, what, recall)

    def less_is_better(self, what, ours, theirs, goal=""):
        self.lines.append(Line(what, ours, theirs, divided(theirs, ours), goal))

    def part_of_theirs(self, what, ours, theirs, goal=""):
        self.lines.append(Line(what, ours, theirs, divided(ours, theirs), goal))

    def queries(self):
        for recall in RECALLS:
            ours, theirs = map(inverse, self.both_at(QUERY, recall))
            self.part_of_theirs(f"queries/s at recall {recall}", ours, theirs, ">= 5, aim 10")
        ours, theirs = self.both("exact " + QUERY)
        self.part_of_theirs("queries/s of the exact scan", inverse(ours), inverse(theirs))

    def libraries(self):
        at = self.results.at_recall
        for side, name, goal in (
            (WITHOUT_SERVER, "search without a server", ">= 1.5, aim 3"),
            (OURS, "queries/s through SQL", ">= 0.8, aim 2"),
        ):
            for recall in RECALLS:
                ours, theirs = (inverse(at(s, QUERY, recall)) for s in (side, LIBRARY))
                if ours is not None:
                    what = f"{name} against hnswlib at recall {recall}"
                    self.part_of_theirs(what, ours, theirs, goal)
        records = at(WITHOUT_SERVER, "records", 0.99)
        if records is not None:
            goal = "<= 160 (packages-minilm-384), <= 100 (sift-128)"
            self.lines.append(Line("records read at recall 0.99", records, None, None, goal))

    def buffers(self):
        kinds = ("index", "heap", "TOAST")
        for recall in RECALLS:
            parts = [self.both_at(f"{kind} blocks of a query", recall) for kind in kinds]
            goal = "<= 0.1, aim 0.05" if recall == 0.95 else ""
            for kind, (ours, theirs) in zip(kinds, parts, strict=True):
                self.part_of_theirs(
                    f"{kind} buffers of a query at recall {recall}",
                    ours, theirs, goal if kind == "index" else "",
                )  # fmt: skip
            ours, theirs = (
                None if None in side else sum(side) for side in zip(*parts, strict=True)
            )
            goal = "<= 0.1 (at 1,536 dimensions <= 0.33)" if goal else ""
            self.part_of_theirs(f"all buffers of a query at recall {recall}", ours, theirs, goal)
        first = self.both("index blocks of the first query")
        self.part_of_theirs(
            "index blocks read by the first query, nothing cached", *first, "<= 0.1"
        )

    def upkeep(self):
        for how, unit in (
            ("serial", "processor s"),
            ("serial", "wall s"),
            ("one worker", "wall s"),
        ):
            what = f"CREATE INDEX, {how}, {unit}"
            self.less_is_better(what, *self.both(what), ">= 3, aim 5")
        for unit in ("processor s", "wall s"):
            enough = self.results.median(OURS, f"CREATE INDEX, serial, {unit}")
            short = self.results.median(OURS, f"CREATE INDEX, a quarter of the memory, {unit}")
            what = f"CREATE INDEX, a quarter of the memory (ours ÷ enough), {unit}"
            self.lines.append(Line(what, short, enough, divided(short, enough), "<= 1.5"))
        goal = "<= 1.0 from 384 dimensions, <= 1.3 at 128"
        self.part_of_theirs("index bytes", *self.both("index bytes"), goal)
        for how in ("single commits", "100 a transaction"):
            for unit in ("processor s", "wall s"):
                ours, theirs = map(inverse, self.both(f"INSERT, {how}, {unit}"))
                self.part_of_theirs(
                    f"rows/s of INSERT, {how}, by {unit}", ours, theirs, ">= 3, aim 5"
                )
        wal = "INSERT, single commits, WAL bytes"
        self.part_of_theirs("WAL bytes of a row inserted", *self.both(wal))
        for unit in ("processor s", "wall s"):
            parts = [self.both(f"{what}, {unit}") for what in ("DELETE of half", "VACUUM after it")]
            sums = (None if None in side else sum(side) for side in zip(*parts, strict=True))
            self.less_is_better(f"DELETE of half, then VACUUM, {unit}", *sums, ">= 10, aim 30")

    def clients(self):
        median = self.results.median
        for side in (OURS, self.peer):
            one, two = (median(side, f"queries/s by the clock, clients: {n}") for n in (1, 2))
            if one is not None:
                self.lines.append(
                    Line(f"{side}: queries/s, two clients ÷ one", two, one, two / one, ">= 1.5")
                )
            two, many = (median(side, f"queries/s amid changes, clients: {n}") for n in (2, 16))
            if two is not None:
                what = f"{side}: queries/s amid changes, 16 clients ÷ 2"
                self.lines.append(Line(what, many, two, many / two, ">= 1"))
            one, two = (
                inverse(median(side, f"INSERT, {how}, wall s"))
                for how in ("single commits", "two clients")
            )
            if one is not None:
                self.lines.append(
                    Line(
                        f"{side}: rows/s of INSERT, two clients ÷ one",
                        two,
                        one,
                        two / one,
                        ">= 1.3",
                    )
                )

    def text(self):
        head = f"{'':<58} {OURS:>11} {'against':>11} {'ratio':>8}  goal"
        return "\n".join([head, *(line.text() for line in self.lines if line.ours is not None)])


def recall_table(results):
    """Recall and processor microseconds of a query for each side and ef."""
    lines = [f"{'':<18} {'ef':>6} {'recall@' + str(K):>10} {'µs':>9} {'index blocks':>13}"]
    for side in results.sides():
        for ef in results.efs(side):
            blocks = results.median(side, "index blocks of a query", ef)
            lines.append(
                f"{side:<18} {ef:>6} {results.median(side, 'recall', ef):>10.4f}"
                f" {results.median(side, QUERY, ef) * 1e6:>9.1f}"
                + ("" if blocks is None else f" {blocks:>13.1f}")
            )
    return "\n".join(lines)


def plot(results, path):
    """Recall against queries a second of one processor."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5))
    for side in results.sides():
        curve = results.curve(side, QUERY)
        if curve:
            recalls, costs = zip(*curve, strict=True)
            axes.plot(recalls, [1 / c for c in costs], marker="o", markersize=4, label=side)
        exact = results.median(side, "exact " + QUERY)
        if exact is not None:
            found = results.median(side, "exact recall")
            axes.plot([found], [1 / exact], marker="x", linestyle="", label=f"{side}, exact scan")
    dataset = results.dataset
    axes.set_yscale("log")
    axes.set_xlabel(f"recall@{K}, by distance")
    axes.set_ylabel("queries per second of processor time (server + client)")
    axes.set_title(f"{dataset.name}: {len(dataset.base):,} rows, {dataset.metric}")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
