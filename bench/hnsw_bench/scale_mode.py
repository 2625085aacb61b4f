"""bench/run --scale: what a query reads at a fixed recall from a table fifty times as large."""

from . import datasets, libraries
from .measure import Rounds, say
from .recall import RECALLS, Truth, cost_at
from .results import Results

FEW, MANY = 10_000, 500_000
GENERATORS = {"usual": datasets.clustered, "hard": datasets.distant_clusters}
BLOCKS, EF = "index blocks of a query", "hnswlib's ef"


def measure(server, dataset, options):
    """The BLOCKS and EF needed at each of RECALLS, None where it is not reached."""
    truth, results = Truth(dataset), Results(dataset)
    rounds = Rounds([server], dataset, truth, results, options)
    server.load(dataset)
    say(f"{dataset.name}: CREATE INDEX")
    server.create_index(dataset, options, max_parallel_maintenance_workers=1)
    rounds.sweep(server)
    rounds.query_blocks(server)
    for ef in results.efs(server.name, BLOCKS):
        recall, blocks = (results.median(server.name, what, ef) for what in ("recall", BLOCKS))
        say(f"{dataset.name}: ef_search {ef}, recall {recall:.4f}, {blocks:.1f} index blocks")
    say(f"{dataset.name}: hnswlib")
    library = libraries.Hnswlib(dataset, options.m, options.ef_construction)
    points = [(point.recall, point.ef) for point in libraries.sweep(library, truth, options.efs)]
    return {
        BLOCKS: [results.at_recall(server.name, BLOCKS, recall) for recall in RECALLS],
        EF: [cost_at(points, recall) for recall in RECALLS],
    }


def run(server, options):
    generate, rows = GENERATORS[options.clusters], options.rows or MANY
    few, many = (measure(server, generate(count), options) for count in (FEW, rows))
    print(f"\n{options.clusters} clusters, {FEW:,} and {rows:,} rows; the goal is 1.45 for blocks")
    for what in (BLOCKS, EF):
        for recall, low, high in zip(RECALLS, few[what], many[what], strict=True):
            if low is None or high is None:
                print(f"{what} at recall {recall}: not reached")
            else:
                print(f"{what} at recall {recall}: {low:.1f} and {high:.1f}, {high / low:.2f} times")
