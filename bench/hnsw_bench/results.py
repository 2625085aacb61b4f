"""What was measured, value by value, and the figures made of it."""

import csv
import statistics
from collections import defaultdict

from .recall import cost_at

COLUMNS = ("dataset", "side", "what", "ef", "round", "value")


class Results:
    """The values of one dataset. A value belongs to a side, a quantity, perhaps an ef."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.values = defaultdict(list)

    def add(self, side, what, value, ef=None):
        self.values[side, what, ef].append(value)

    def median(self, side, what, ef=None):
        values = self.values.get((side, what, ef))
        return statistics.median(values) if values else None

    def efs(self, side, what="recall"):
        return sorted(e for s, w, e in self.values if s == side and w == what and e is not None)

    def sides(self):
        """In the order in which they came."""
        return list(dict.fromkeys(side for side, _, _ in self.values))

    def curve(self, side, what):
        """(recall, value) of each ef, medians."""
        return [
            (self.median(side, "recall", ef), self.median(side, what, ef))
            for ef in self.efs(side)
            if self.median(side, what, ef) is not None
        ]

    def at_recall(self, side, what, target):
        return cost_at(self.curve(side, what), target)

    def write(self, path):
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for (side, what, ef), values in self.values.items():
                for number, value in enumerate(values, 1):
                    writer.writerow([self.dataset.name, side, what, ef or "", number, value])
