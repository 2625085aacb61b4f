"""bench/run --recall: our recall beside hnswlib's, with the same parameters and the same ef."""

from .libraries import Hnswlib
from .recall import Truth

EFS = (40, 80, 200)
ALLOWED = 0.005


def index_recalls(server, dataset, truth, efs):
    """Our recall at each ef, through SQL with the index."""
    entries = server.search(
        dataset,
        {"enable_seqscan": "off"},
        "--ids",
        "--sweep",
        "hnsw.ef_search=" + ",".join(map(str, efs)),
    )
    return [truth.recall(entry["ids"]) for entry in entries]


def compare(server, dataset, parameters):
    """Prints the comparison for a dataset and returns how far ours falls short at most."""
    truth = Truth(dataset)
    library = Hnswlib(dataset, parameters.m, parameters.ef_construction)
    theirs = [truth.recall(library.search(ef)) for ef in EFS]
    if parameters.by_inserts:
        server.load(dataset, rows=0)
        server.create_index(dataset, parameters)
        server.insert(dataset, 0, len(dataset.base), batch=1000)
    else:
        server.load(dataset)
        server.create_index(dataset, parameters)
    ours = index_recalls(server, dataset, truth, EFS)
    print(f"\n{dataset.name}: {len(dataset.base)} rows, {dataset.metric}, "
          f"{len(dataset.queries)} queries, m = {parameters.m}, "
          f"ef_construction = {parameters.ef_construction}"
          + (", filled by INSERT" if parameters.by_inserts else ""))  # fmt: skip
    print(f"{'ef_search':>10} {'hnswlib':>10} {server.name:>10} {'difference':>11}")
    for ef, their, our in zip(EFS, theirs, ours, strict=True):
        mark = "" if our >= their - ALLOWED else "   too low"
        print(f"{ef:>10} {their:>10.4f} {our:>10.4f} {our - their:>+11.4f}{mark}", flush=True)
    return max(their - our for their, our in zip(theirs, ours, strict=True))


def run(server, chosen, parameters):
    """Whether recall@10 is no more than ALLOWED below hnswlib's, everywhere."""
    worst = max(compare(server, dataset, parameters) for dataset in chosen)
    print(f"\nallowed to fall short by {ALLOWED}, falls short by {max(worst, 0):.4f}")
    return worst <= ALLOWED
