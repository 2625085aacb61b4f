"""Command line of bench/run, which has started a server and says where it is."""

import argparse
import os
import sys
from pathlib import Path

from . import datasets, recall_mode
from .server import Server


def parse():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures hnsw.")
    parser.add_argument("--recall", action="store_true", help="recall beside hnswlib's, only")
    parser.add_argument("--by-inserts", action="store_true", help="--recall of an index so filled")
    parser.add_argument("--data", type=Path, help="a dataset, or a folder of some (HNSW_DATA)")
    parser.add_argument("--metric", choices=("l2", "cosine"), help="where the files do not say")
    parser.add_argument("--only", help="datasets whose name contains this")
    parser.add_argument("--rows", type=int, help="first rows of each dataset")
    parser.add_argument("--queries", type=int, help="first queries of each dataset")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=64)
    arguments = parser.parse_args()
    if not arguments.recall:
        parser.error("so far there is only --recall")
    return arguments


def choose_datasets(arguments, root):
    path = arguments.data or os.environ.get("HNSW_DATA")
    if path:
        chosen = datasets.from_path(path, arguments.metric)
    else:
        chosen = [datasets.demo(root / "demo" / "data"), datasets.clustered(20000)]
    chosen = [d for d in chosen if (arguments.only or "") in d.name]
    if not chosen:
        raise SystemExit(f"bench/run: no dataset is named like {arguments.only}")
    return [d.shortened(arguments.rows, arguments.queries) for d in chosen]


def main():
    arguments = parse()
    environment = os.environ
    chosen = choose_datasets(arguments, Path(environment["HNSW_BENCH_ROOT"]))
    work = Path(environment["HNSW_BENCH_WORK"])
    ours = Server(
        "hnsw", environment["HNSW_BENCH_DSN"], "hnsw", environment["HNSW_BENCH_CLIENT"], work
    )
    return 0 if recall_mode.run(ours, chosen, arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
