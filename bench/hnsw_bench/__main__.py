"""Command line of bench/run, which has started a server and says where it is."""

import argparse
import os
import platform
import sys
from pathlib import Path

from . import datasets, filters_mode, libraries, recall_mode, report, scale_mode
from .measure import Rounds, say
from .recall import Truth
from .results import Results
from .server import Server, common_processor

EFS = (4, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 240, 320, 480, 640)
QUICK_EFS = (5, 10, 20, 40, 80, 160, 320)
COMPARED = (
    "shared_buffers",
    "fsync",
    "full_page_writes",
    "wal_level",
    "max_wal_size",
    "huge_pages",
)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures hnsw, exact scans, hnswlib and faiss, and another extension's hnsw.",
    )
    parser.add_argument("--quick", action="store_true", help="one round of few rows: < 3 minutes")
    parser.add_argument("--peer-dsn", help="a server here with an extension vector to compare with")
    parser.add_argument("--recall", action="store_true", help="only: recall beside hnswlib's")
    parser.add_argument("--scale", action="store_true", help="only: 500,000 rows beside 10,000")
    parser.add_argument(
        "--clusters", choices=scale_mode.GENERATORS, default="usual", help="what --scale generates"
    )
    parser.add_argument("--filters", action="store_true", help="only: every way to filter")
    parser.add_argument(
        "--shares", type=shares, default=filters_mode.SHARES,
        help="per cent of rows that --filters' conditions keep: 50,20,…",
    )  # fmt: skip
    parser.add_argument("--by-inserts", action="store_true", help="--recall of an index so filled")
    parser.add_argument(
        "--any-processor", action="store_true",
        help="let client and backend run where the system puts them, not on one processor",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="a dataset, or a folder of some (HNSW_DATA)")
    parser.add_argument("--metric", choices=("l2", "cosine"), help="where the files do not say")
    parser.add_argument("--only", help="datasets whose name contains this")
    parser.add_argument("--rows", type=int, help="first rows of each dataset")
    parser.add_argument("--queries", type=int, help="first queries of each dataset")
    parser.add_argument("--rounds", type=int, help="how often everything is built and measured")
    parser.add_argument("--results", type=Path, help="folder for tables, CSV and plots")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=64)
    arguments = parser.parse_args()
    quick = arguments.quick
    if quick:
        arguments.rows = arguments.rows or 10000
    many, few = 1000, 200
    if arguments.filters:
        many, few = filters_mode.QUERIES, filters_mode.QUICK_QUERIES
    arguments.queries = arguments.queries or (few if quick else many)
    arguments.rounds = arguments.rounds or (1 if quick else 3)
    arguments.passes, arguments.close_passes = (1, 2) if quick else (2, 6)
    arguments.efs = QUICK_EFS if quick else EFS
    arguments.block_queries = 50 if quick else 200
    return arguments


def shares(text):
    return tuple(float(part) for part in text.split(","))


def choose_datasets(arguments, root):
    path = arguments.data or os.environ.get("HNSW_DATA")
    if path:
        chosen = datasets.from_path(path, arguments.metric)
    else:
        chosen = [datasets.demo(root / "demo" / "data")]
        if not arguments.filters:
            chosen.append(datasets.clustered(20000))
    chosen = [d for d in chosen if (arguments.only or "") in d.name]
    if not chosen:
        raise SystemExit(f"bench/run: no dataset is named like {arguments.only}")
    return [d.shortened(arguments.rows, arguments.queries) for d in chosen]


def machine():
    """The processor, as far as the system says."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return f"{os.cpu_count()} x {names[0] if names else platform.machine()}"


def headline(dataset, arguments, servers):
    sides = ", ".join(f"{s.name} {s.version} on PostgreSQL {s.server_version}" for s in servers)
    return (
        f"{dataset.name}: {len(dataset.base):,} rows, {dataset.dimensions} dimensions, "
        f"{dataset.metric}, {len(dataset.queries)} queries, m = {arguments.m}, "
        f"ef_construction = {arguments.ef_construction}\n{sides}; {machine()}; "
        f"medians of {arguments.rounds} rounds; processor time is server + client, "
        + ("which share a processor" if servers[0].processor is not None else "on any processor")
    )


def warn_of_differences(servers):
    for name in COMPARED:
        values = [server.value(f"SHOW {name}") for server in servers]
        if len(set(values)) > 1:
            say(f"the servers differ: {name} is " + " and ".join(values))


def benchmark(servers, dataset, arguments, folder):
    truth, results = Truth(dataset), Results(dataset)
    say(f"{dataset.name}: hnswlib and faiss")
    found = [
        kind(dataset, arguments.m, arguments.ef_construction)
        for kind in (libraries.Hnswlib, libraries.Faiss)
    ]
    for library in found:
        results.add(library.name, "build, processor s", library.build_seconds)
    core = libraries.WithoutServer(
        os.environ["HNSW_BENCH_CORE"], dataset, truth, servers[0].folder, arguments
    )
    rounds = Rounds(servers, dataset, truth, results, arguments)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.rounds):
        rounds.run(number, found, core)
        results.write(folder / f"{dataset.name}.csv")
    peer = servers[1].name if len(servers) > 1 else None
    text = "\n\n".join(
        [
            headline(dataset, arguments, servers),
            report.recall_table(results),
            report.Table(results, peer).text(),
        ]
    )
    (folder / f"{dataset.name}.txt").write_text(text + "\n", encoding="utf-8")
    report.plot(results, folder / f"{dataset.name}.png")
    print(f"\n{text}\n", flush=True)


def main():
    arguments = parse()
    root = Path(os.environ["HNSW_BENCH_ROOT"])
    client, work = os.environ["HNSW_BENCH_CLIENT"], Path(os.environ["HNSW_BENCH_WORK"])
    servers = [Server("hnsw", os.environ["HNSW_BENCH_DSN"], "hnsw", client, work)]
    if arguments.scale:
        scale_mode.run(servers[0], arguments)
        return 0
    chosen = choose_datasets(arguments, root)
    if arguments.recall:
        return 0 if recall_mode.run(servers[0], chosen, arguments) else 1
    if arguments.peer_dsn:
        servers.append(Server("pgvector", arguments.peer_dsn, "vector", client, work))
        warn_of_differences(servers)
    if not arguments.any_processor:
        processor = common_processor(servers)
        if processor is None:
            say("client and backends run on any processor: moving them is not permitted")
        for server in servers:
            server.processor = processor
    folder = arguments.results or root / "bench" / "results"
    try:
        if arguments.filters:
            return 0 if filters_mode.run(servers, chosen, arguments, folder) else 1
        for dataset in chosen:
            benchmark(servers, dataset, arguments, folder)
    finally:
        for server in servers[1:]:
            server.close()
    say(f"CSV files and plots are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
