"""Datasets: rows, queries and a metric, from files, from the demo or from a seeded generator."""

import csv
import gzip
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

BATCH = 50_000  # rows generated at a time
L2 = "l2"
COSINE = "cosine"
WHOLE_NUMBERS = ("installed_size",)
TEXTS = ("section", "priority")
SUFFIXES = {".fvecs": (np.float32, 4), ".hvecs": (np.float16, 2), ".bvecs": (np.uint8, 1)}


@dataclass
class Dataset:
    """Vectors are float32, a row each; true_ids, if known, the exact neighbours, nearest first.

    attributes, if there are some: the values of every row under the column's name.
    """

    name: str
    metric: str
    base: np.ndarray
    queries: np.ndarray
    true_ids: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def dimensions(self):
        return self.base.shape[1]

    def shortened(self, rows, queries):
        """The first rows and queries; the neighbours known hold only for all rows."""
        kept = self.true_ids if rows is None or rows >= len(self.base) else None
        return Dataset(
            self.name,
            self.metric,
            self.base[:rows],
            self.queries[:queries],
            None if kept is None else kept[:queries],
            {name: values[:rows] for name, values in self.attributes.items()},
        )


def read_vectors(path):
    """A .fvecs, .hvecs or .bvecs file: an int32 dimension before the values of each row."""
    dtype, size = SUFFIXES[path.suffix]
    dimensions = int(np.fromfile(path, np.int32, 1)[0])
    rows = np.fromfile(path, dtype).reshape(-1, dimensions + 4 // size)
    return np.ascontiguousarray(rows[:, 4 // size :], np.float32)


def read_ids(path):
    """An .ivecs file."""
    count = int(np.fromfile(path, np.int32, 1)[0])
    return np.fromfile(path, np.int32).reshape(-1, count + 1)[:, 1:]


def write_vectors(path, vectors):
    """An .fvecs file."""
    rows = np.empty((len(vectors), vectors.shape[1] + 1), np.float32)
    rows[:, 0] = np.array([vectors.shape[1]], np.int32).view(np.float32)[0]
    rows[:, 1:] = vectors
    rows.tofile(path)


def write_ids(path, ids):
    """An .ivecs file."""
    ids = np.asarray(ids, np.int32)
    np.insert(ids, 0, ids.shape[1], axis=1).tofile(path)


def _only(folder, *patterns):
    """The file of the folder that matches the first of the patterns that any does."""
    for pattern in patterns:
        found = sorted(p for p in folder.glob(pattern) if "dist" not in p.name)
        if found:
            return found[0]
    return None


def _vector_file(folder, role):
    names = [stem + suffix for suffix in SUFFIXES for stem in (role, "*_" + role)]
    return _only(folder, *names)


def from_folder(folder, metric=None):
    """A folder of base.*, query.* and perhaps gt_<metric>.ivecs or *_groundtruth.ivecs."""
    base, query = _vector_file(folder, "base"), _vector_file(folder, "query")
    if base is None or query is None:
        return None
    truth = _only(folder, "gt_l2.ivecs", "gt_cos.ivecs", "*groundtruth.ivecs")
    if metric is None:
        metric = COSINE if truth is not None and "cos" in truth.name else L2
    ids = None if truth is None else read_ids(truth)
    attributes = {}
    if (folder / "base_attrs.csv.gz").exists():
        attributes = _attributes(_rows(folder / "base_attrs.csv.gz"))
    return Dataset(folder.name, metric, read_vectors(base), read_vectors(query), ids, attributes)


def from_hdf5(path, metric=None):
    """A file in the layout of ann-benchmarks: datasets train, test and neighbors."""
    import h5py

    with h5py.File(path) as file:
        distance = str(file.attrs.get("distance", "euclidean"))
        return Dataset(
            path.stem,
            metric or (COSINE if distance in ("angular", "cosine") else L2),
            np.asarray(file["train"], np.float32),
            np.asarray(file["test"], np.float32),
            np.asarray(file["neighbors"], np.int32) if "neighbors" in file else None,
        )


def from_path(path, metric=None):
    """All datasets of a file or folder, itself one or a folder of several."""
    path = Path(path)
    if path.suffix in (".hdf5", ".h5"):
        return [from_hdf5(path, metric)]
    if not path.is_dir():
        raise SystemExit(f"bench/run: {path} is neither a folder nor an HDF5 file")
    found = from_folder(path, metric)
    if found is not None:
        return [found]
    found = [from_hdf5(p, metric) for p in sorted(path.glob("*.h*5"))]
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        dataset = from_folder(folder, metric)
        if dataset is not None:
            found.append(dataset)
    if not found:
        raise SystemExit(f"bench/run: no dataset in {path}")
    return found


def _rows(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _attributes(rows):
    """Those columns that are worth a filter."""
    kinds = {name: np.int64 for name in WHOLE_NUMBERS} | {name: np.str_ for name in TEXTS}
    return {
        name: np.array([row[name] for row in rows]).astype(kind)
        for name, kind in kinds.items()
        if name in rows[0]
    }


def _embeddings(rows):
    return np.array([np.fromstring(r["embedding"][1:-1], sep=",") for r in rows], np.float32)


def demo(folder):
    """The rows and questions of the demo."""
    rows, questions = _rows(folder / "packages.csv.gz"), _rows(folder / "queries.csv")
    return Dataset(
        "demo-384", COSINE, _embeddings(rows), _embeddings(questions), None, _attributes(rows)
    )


def clustered(rows, queries=500, dimensions=128, seed=1):
    """Overlapping clusters of uneven sizes on a curved surface of 32 dimensions.

    Calibrated so that what more rows do to a search is what they do to it in real sets: README.md has
    the figures. The surface, the clusters and the queries do not depend on the number of rows, so
    that more rows make the same space denser.
    """
    shapes, source = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    clusters, inner, hidden = 200, 32, 256
    centres = shapes.standard_normal((clusters, inner)).astype(np.float32)
    spreads = np.exp(0.3 * shapes.standard_normal((clusters, inner))).astype(np.float32) * 1.2
    bend = shapes.standard_normal((inner, hidden)).astype(np.float32) / np.sqrt(inner)
    surface = shapes.standard_normal((hidden, dimensions)).astype(np.float32) / np.sqrt(hidden)
    weights = 1 / np.arange(1, clusters + 1) ** 0.7

    def draw(count):
        out = np.empty((count, dimensions), np.float32)
        for start in range(0, count, BATCH):
            part = out[start : start + BATCH]
            chosen = source.choice(clusters, len(part), p=weights / weights.sum())
            place = source.standard_normal((len(part), inner)).astype(np.float32)
            place = centres[chosen] + spreads[chosen] * place
            noise = source.standard_normal(part.shape).astype(np.float32)
            part[:] = np.tanh(place @ bend) @ surface + 0.1 * noise
        return out

    asked = draw(queries)
    return Dataset(f"clustered-{dimensions}-{rows // 1000}k", L2, draw(rows), asked)


def distant_clusters(rows, queries=500, dimensions=128, seed=1):
    """Gaussian clusters of uneven sizes far apart, each in 32 dimensions of its own.

    Harder than real sets: hnswlib needs fifteen times the ef for recall 0.95 of 50 times the rows.
    """
    shapes, source = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    clusters, inner = 100, 32
    centres = shapes.standard_normal((clusters, dimensions)).astype(np.float32)
    axes = shapes.standard_normal((clusters, inner, dimensions)).astype(np.float32)
    axes *= shapes.uniform(0.1, 0.5, (clusters, inner, 1)).astype(np.float32)
    weights = 1 / np.arange(1, clusters + 1) ** 0.7

    def draw(count):
        out = np.empty((count, dimensions), np.float32)
        chosen = source.choice(clusters, count, p=weights / weights.sum())
        for cluster in range(clusters):
            members = np.flatnonzero(chosen == cluster)
            spread = source.standard_normal((len(members), inner)).astype(np.float32)
            noise = source.standard_normal((len(members), dimensions)).astype(np.float32)
            out[members] = centres[cluster] + spread @ axes[cluster] + 0.05 * noise
        return out

    asked = draw(queries)
    return Dataset(f"distant-{dimensions}-{rows // 1000}k", L2, draw(rows), asked)
