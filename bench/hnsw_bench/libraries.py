"""hnswlib and faiss in this process, one thread."""

import time
from dataclasses import dataclass

import numpy as np

from .recall import K

SEED = 100


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
        self.index.set_ef(max(ef, K))
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


def sweep(library, truth, efs):
    """A Point for each ef."""
    points = []
    for ef in efs:
        library.search(ef)  # warms up
        started = time.process_time()
        ids = library.search(ef)
        cost = (time.process_time() - started) / len(ids)
        points.append(Point(ef, truth.recall(ids), cost))
    return points
