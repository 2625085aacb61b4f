"""bench/run --filters: conditions of many shares, answered by every strategy."""

import collections
import statistics
import time
from dataclasses import dataclass

import numpy as np

from . import filters_report
from .datasets import Dataset
from .filters_report import AUTO, FORCED, PEER_PLAN, PEER_SORT, SORT
from .measure import say, text_of
from .recall import K, Truth, distances_to
from .server import Side

SHARES = (50, 20, 10, 5, 1, 0.5, 0.1)
# With 7 shares, 3 kinds and 2 ways more than 10,000 combinations of a query and a condition.
QUERIES = 250
QUICK_QUERIES = 40
# Seconds after which a side other than auto has answered enough of them, and how many times as
# long as auto one may take in its first queries to be asked more.
BUDGET, QUICK_BUDGET = 2, 0.5
HOPELESS = 6
PEER_EFS = (40, 60, 100, 150, 200, 300, 400)
# A condition is answered by the hnsw index itself, or by B-trees beside it.
COLUMNS, BITMAP = "columns", "bitmap"
TABLES = {COLUMNS: "items", BITMAP: "items_bitmap"}
# Without them the planner takes the strategy's scan, wise or not.
ONLY_OURS = {"enable_seqscan": "off", "enable_sort": "off"}
NOT_OURS = {"enable_indexscan": "off", "hnsw.enable_custom_scan": "off"}
PEERS_INDEX = ONLY_OURS | {"enable_bitmapscan": "off"}
PEERS_SORT = {"enable_indexscan": "off"}
EXPLAINED = 5
DISTINCT = 8  # columns of no more values than this have a cell for each of them


@dataclass
class Cell:
    """A condition, the rows it keeps and the queries that are asked with it."""

    kind: str
    condition: str
    matching: np.ndarray
    dataset: Dataset

    @property
    def share(self):
        """Per cent of the rows."""
        return 100 * len(self.matching) / len(self.dataset.base)

    @property
    def due(self):
        """Rows that every query must return."""
        return min(K, len(self.matching))


@dataclass
class Measured:
    """What one side did in one cell."""

    cell: Cell
    way: str
    side: str
    queries: int
    seconds: float
    recall: float
    returned: float
    short: int
    wrong: int
    chose: str = ""

    @property
    def shown_recall(self):
        """The recall, at most what so few queries can show: half a row missing in all of them."""
        return min(self.recall, 1 - 0.5 / (K * self.queries))


class Workload:
    """A dataset with two more columns, conditions on all its columns, and two sets of queries.

    shuffled is a random permutation of the row numbers; region is a row's rank by distance from a
    pivot. Queries of the conditions on region lie near the pivot: rows that were taken out of the
    dataset. Where it has too few queries of its own, rows taken out at random join them.
    """

    def __init__(self, dataset, count, shares):
        source = np.random.default_rng(1)
        rows = len(dataset.base)
        pivot = dataset.base[source.integers(rows)]
        ranked = np.argsort(distances_to(dataset, pivot, slice(None)), kind="stable")
        near = ranked[: 2 * count][1::2]
        others = np.setdiff1d(np.arange(rows), near)
        missing = max(0, count - len(dataset.queries))
        spare = source.choice(others, missing, replace=False)
        kept = np.setdiff1d(others, spare)
        attributes = {name: values[kept] for name, values in dataset.attributes.items()}
        region = np.empty(rows, np.int64)
        region[ranked[np.isin(ranked, kept)]] = np.arange(len(kept))
        self.real = list(attributes)
        attributes["shuffled"] = source.permutation(len(kept))
        attributes["region"] = region[kept]
        queries = np.concatenate([dataset.queries[:count], dataset.base[spare]])
        base, nearby = dataset.base[kept], dataset.base[near]
        self.anywhere, self.nearby = (
            Dataset(f"{dataset.name}-{name}", dataset.metric, base, asked, None, attributes)
            for name, asked in (("anywhere", queries), ("nearby", nearby))
        )
        self.shares = shares
        self.columns = list(attributes)

    def cells(self):
        """All of them, generated conditions first."""
        rows = len(self.anywhere.base)
        for share in self.shares:
            limit = max(1, round(rows * share / 100))
            yield self.cell("random", "shuffled", "<", limit)
            yield self.cell("near", "region", "<", limit)
            yield self.cell("far", "region", ">=", rows - limit)
        for name in self.real:
            values = self.anywhere.attributes[name]
            if values.dtype.kind == "i":
                ranked = np.sort(values)
                limits = [ranked[-max(1, round(rows * share / 100))] for share in self.shares]
                for limit in dict.fromkeys(limits):
                    yield self.cell(name, name, ">=", int(limit))
            else:
                for value in self.values(values):
                    yield self.cell(name, name, "=", str(value))

    def values(self, column):
        """Those values of a column of texts whose frequencies are near the shares."""
        values, counts = np.unique(column, return_counts=True)
        if len(values) <= DISTINCT:
            return values
        found = {}
        for share in self.shares:
            misses = np.abs(np.log(100 * counts / len(column) / share))
            if misses.min() < np.log(1.5):
                found[str(values[misses.argmin()])] = True
        return list(found)

    def cell(self, kind, column, operator, value):
        values = self.anywhere.attributes[column]
        kept = {"<": np.less, ">=": np.greater_equal, "=": np.equal}[operator](values, value)
        if isinstance(value, str):
            value = "'" + value.replace("'", "''") + "'"
        dataset = self.nearby if column == "region" else self.anywhere
        return Cell(kind, f"{column} {operator} {value}", np.flatnonzero(kept), dataset)


class Measurement:
    """All cells of one dataset."""

    def __init__(self, servers, workload, arguments):
        self.ours, self.peers = servers[0], servers[1:]
        self.workload, self.arguments = workload, arguments
        self.budget = QUICK_BUDGET if arguments.quick else BUDGET

    def prepare(self):
        data, columns = self.workload.anywhere, self.workload.columns
        self.ours.load(data, TABLES[COLUMNS], columns=columns)
        self.ours.create_index(data, self.arguments, TABLES[COLUMNS], columns)
        for server in (self.ours, *self.peers):
            server.load(data, TABLES[BITMAP], columns=columns)
            server.create_index(data, self.arguments, TABLES[BITMAP])
            for column in columns:
                server.run(f"CREATE INDEX ON {TABLES[BITMAP]} ({column})")

    def statement(self, server, cell, table, parameter="$1"):
        return server.nearest(cell.dataset, parameter, table, where=cell.condition)

    def sides(self, cell, way):
        statement = self.statement(self.ours, cell, TABLES[way])
        yield Side(AUTO, self.ours, statement, {})
        for name in FORCED:
            yield Side(name, self.ours, statement, {"hnsw.filter_strategy": name} | ONLY_OURS)
        # Only the other table has the B-trees.
        statement = self.statement(self.ours, cell, TABLES[BITMAP])
        yield Side(SORT, self.ours, statement, NOT_OURS)
        for server in self.peers:
            statement = self.statement(server, cell, TABLES[BITMAP])
            iterative = {"hnsw.iterative_scan": "strict_order"}
            for ef in PEER_EFS:
                settings = iterative | {"hnsw.ef_search": str(ef)} | PEERS_INDEX
                yield Side(f"{server.name} {ef}", server, statement, settings)
            yield Side(PEER_PLAN, server, statement, iterative)
            yield Side(PEER_SORT, server, statement, PEERS_SORT)

    def cell(self, cell, truth, way):
        """The Measured of every side."""
        limits = ("--queries", str(self.arguments.queries), "--budget", str(self.budget),
                  "--hopeless", str(HOPELESS))  # fmt: skip
        for entry in self.ours.compare(cell.dataset, list(self.sides(cell, way)), *limits):
            answers = [np.array(ids, np.int64) for ids in entry["ids"]]
            # The truth knows the matching rows only, by their positions among them.
            right = [ids[np.isin(ids, cell.matching)] for ids in answers]
            counts = [len(np.unique(ids)) for ids in right]
            yield Measured(
                cell,
                way,
                entry["side"],
                len(answers),
                statistics.median(entry["seconds"]),
                truth.recall([np.searchsorted(cell.matching, ids) for ids in right]),
                statistics.mean(counts),
                sum(count < cell.due for count in counts),
                sum(len(ids) for ids in answers) - sum(counts),
                self.chosen(cell, way) if entry["side"] == AUTO else "",
            )

    def chosen(self, cell, way):
        """What auto came to, in most of the queries that are asked once more."""
        statement = self.statement(self.ours, cell, TABLES[way], "%s")
        names = collections.Counter()
        for query in cell.dataset.queries[:EXPLAINED]:
            plan = self.ours.value(
                "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement, [text_of(query)]
            )
            names[plan_name(plan[0]["Plan"])] += 1
        return names.most_common(1)[0][0]

    def run(self, journal):
        """All that was measured, which the journal gets as it comes."""
        data = self.workload.anywhere
        say(f"{data.name}: loading {len(data.base):,} rows, CREATE INDEX")
        self.prepare()
        measured = []
        for cell in self.workload.cells():
            part = Dataset("", data.metric, data.base[cell.matching],
                           cell.dataset.queries[: self.arguments.queries])  # fmt: skip
            truth = Truth(part)
            for way in TABLES:
                line = list(self.cell(cell, truth, way))
                journal.add(line)
                measured += line
        return measured


def plan_name(plan):
    """The strategy of our scan, or the scan that was planned instead of it."""
    if "Strategy" in plan:
        return plan["Strategy"]
    parts = plan.get("Plans")
    return plan_name(parts[0]) if parts else plan["Node Type"].lower()


def run(servers, chosen, arguments, folder):
    """Whether auto returned all rows that were due, and enough of the right ones, everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    for dataset in chosen:
        workload = Workload(dataset, arguments.queries, arguments.shares)
        stem = folder / f"{dataset.name}-filters"
        began = time.monotonic()
        with filters_report.Journal(stem.with_name(f"{stem.name}.csv"), dataset.name) as journal:
            measured = Measurement(servers, workload, arguments).run(journal)
        report = filters_report.Report(dataset, measured, arguments)
        report.write(stem)
        print(f"\n{report.text()}\n", flush=True)
        say(f"{dataset.name} took {(time.monotonic() - began) / 60:.0f} minutes")
        good = good and report.good()
    say(f"CSV files and plots are in {folder}")
    return good
