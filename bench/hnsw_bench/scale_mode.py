"""bench/run --scale: what a query reads at a fixed recall from a table fifty times as large."""

from .datasets import clustered
from .measure import Rounds, say
from .recall import Truth
from .results import Results

FEW, MANY = 10_000, 500_000
RECALLS = (0.95, 0.99)


def reads(server, dataset, options):
    """Index blocks of a query at each of RECALLS, by recall."""
    results = Results(dataset)
    rounds = Rounds([server], dataset, Truth(dataset), results, options)
    server.load(dataset)
    say(f"{dataset.name}: CREATE INDEX")
    server.create_index(dataset, options, max_parallel_maintenance_workers=1)
    rounds.sweep(server)
    rounds.query_blocks(server)
    return [results.at_recall(server.name, "index blocks of a query", r) for r in RECALLS]


def run(server, options):
    few, many = (reads(server, clustered(rows), options) for rows in (FEW, options.rows or MANY))
    print(f"\nindex blocks of a query at {FEW:,} and {options.rows or MANY:,} rows; goal <= 1.45")
    for recall, low, high in zip(RECALLS, few, many, strict=True):
        if low is None or high is None:
            print(f"recall {recall}: not reached")
        else:
            print(f"recall {recall}: {low:.1f} and {high:.1f}, {high / low:.2f} times")
