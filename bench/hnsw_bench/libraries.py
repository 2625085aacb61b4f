"""hnswlib and faiss in this process, one thread."""

import subprocess
import time
from dataclasses import dataclass

import numpy as np

from . import datasets
from .recall import K

SEED = 100
LEAST_SECONDS = 0.2  # of an ef, however few the queries


@dataclass
class Point:
    """One ef: recall and processor seconds of a query."""

    ef: int
    recall: float
    cost: float


def _prepared(dataset, vectors):
    if dataset.metric != "cosine":
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


class Hnswlib:
    name = "hnswlib"

    def __init__(self, dataset, m, ef_construction):
        import hnswlib

        self.dataset = dataset
        self.index = hnswlib.Index(dataset.metric, dataset.dimensions)
        self.index.init_index(
            len(dataset.base), M=m, ef_construction=ef_construction, random_seed=SEED
        )
        self.index.set_num_threads(1)
        started = time.process_time()
        self.index.add_items(dataset.base, np.arange(len(dataset.base)), num_threads=1)
        self.build_seconds = time.process_time() - started

    def search(self, ef):
        """The ids of each query's nearest rows."""
        self.index.set_ef(ef)
        return self.index.knn_query(self.dataset.queries, k=K, num_threads=1)[0]


class Faiss:
    name = "faiss"

    def __init__(self, dataset, m, ef_construction):
        import faiss

        faiss.omp_set_num_threads(1)
        self.queries = _prepared(dataset, dataset.queries)
        self.index = faiss.IndexHNSWFlat(dataset.dimensions, m)
        self.index.hnsw.efConstruction = ef_construction
        started = time.process_time()
        self.index.add(_prepared(dataset, dataset.base))
        self.build_seconds = time.process_time() - started

    def search(self, ef):
        """The ids of each query's nearest rows."""
        self.index.hnsw.efSearch = ef
        return self.index.search(self.queries, K)[1]


class WithoutServer:
    """Our core over pages in memory, as bench/core_bench.cpp measures it."""

    name = "hnsw, no server"

    def __init__(self, program, dataset, truth, folder, arguments):
        self.folder = folder / dataset.name
        self.folder.mkdir(exist_ok=True)
        datasets.write_vectors(self.folder / "base.fvecs", dataset.base)
        datasets.write_vectors(self.folder / "query.fvecs", dataset.queries)
        gt = {"cosine": "gt_cos", "l2": "gt_l2"}[dataset.metric]
        datasets.write_ids(self.folder / f"{gt}.ivecs", truth.ids)
        self.command = [program, "--data", str(self.folder), "--metric", dataset.metric]
        self.command += ["--m", str(arguments.m), "--ef-construction"]
        self.command += [str(arguments.ef_construction)]

    def sweep(self, efs):
        """Builds the index anew: (Point, records read) of each ef."""
        efs = ",".join(map(str, efs))
        done = subprocess.run(
            [*self.command, "--ef", efs], stdout=subprocess.PIPE, text=True, check=True
        )
        lines = [line.split() for line in done.stdout.splitlines()]
        head = next(i for i, words in enumerate(lines) if words[:2] == ["ef", "recall"])
        return [
            (Point(int(ef), float(recall), float(cost) * 1e-6), float(records))
            for ef, recall, records, cost, *_ in lines[head + 1 :]
        ]


def sweep(library, truth, efs):
    """A Point for each ef that can give K rows."""
    points = []
    for ef in (ef for ef in efs if ef >= K):
        ids = library.search(ef)
        times, started = 0, time.process_time()
        while times == 0 or time.process_time() - started < LEAST_SECONDS:
            library.search(ef)
            times += 1
        cost = (time.process_time() - started) / times / len(ids)
        points.append(Point(ef, truth.recall(ids), cost))
    return points
