"""Exact distances, recall by distance, and cost at a given recall."""

import math

import numpy as np

K = 10
RECALLS = (0.95, 0.99)  # at which costs are compared
SLACK = 1e-6  # distances closer than this part of each other are one


def _unit(vectors):
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def distances_to(dataset, query, ids):
    """Distances of one query to rows, in double precision, in an order-preserving scale."""
    rows = dataset.base[ids].astype(np.float64)
    query = query.astype(np.float64)
    if dataset.metric == "cosine":
        rows, query = _unit(rows), query / (np.linalg.norm(query) or 1)
    return ((rows - query) ** 2).sum(axis=1)


def _nearest(dataset, count):
    """Ids of about the count nearest rows, by single precision: enough to hold the K nearest."""
    base, queries = dataset.base, dataset.queries
    if dataset.metric == "cosine":
        base, queries = _unit(base), _unit(queries)
    if count >= len(base):
        yield from (np.arange(len(base)) for _ in queries)
        return
    norms = (base * base).sum(axis=1)
    for start in range(0, len(queries), 100):
        scores = norms - 2 * (queries[start : start + 100] @ base.T)
        yield from np.argpartition(scores, count, axis=1)[:, :count]


class Truth:
    """The K nearest rows of each query and the distance that the last of them has."""

    def __init__(self, dataset):
        self.dataset = dataset
        candidates = dataset.true_ids
        if candidates is None:
            candidates = _nearest(dataset, 10 * K)
        self.ids, self.limits = [], []
        for query, ids in zip(dataset.queries, candidates, strict=True):
            distances = distances_to(dataset, query, ids)
            order = np.argsort(distances, kind="stable")[:K]
            self.ids.append(np.asarray(ids)[order])
            self.limits.append(distances[order[-1]] * (1 + SLACK) + 1e-12)

    def recall(self, ids):
        """The part of the K nearest that the ids of the first queries hold, averaged."""
        hits = 0
        for query, limit, found in zip(self.dataset.queries, self.limits, ids, strict=False):
            found = np.unique(np.asarray(found[:K], np.int64))
            if len(found):
                hits += int((distances_to(self.dataset, query, found) <= limit).sum())
        return hits / (min(K, len(self.dataset.base)) * len(ids))


def cost_at(points, target):
    """The cost at a recall, from (recall, cost) points in the order of growing effort.

    Interpolated between the two points around it, along the logarithm of what is missing to full
    recall. The first point where it has more already; None where none reaches it.
    """
    before = None
    for recall, cost in points:
        if recall >= target:
            if before is None or before[0] >= recall:
                return cost
            low, high, here = (math.log(1 - min(r, 1 - 1e-5)) for r in (before[0], recall, target))
            part = (here - low) / (high - low)
            return before[1] * (1 - part) + cost * part
        before = (recall, cost)
    return None
