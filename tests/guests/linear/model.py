"""A guest that fits least squares on the flattened examples."""

import numpy as np


class Model:
    done_training = False

    def __init__(self, metadata):
        self.weights = None

    def train(self, dataset, remaining_time_budget=None):
        features, labels = zip(*((x.ravel(), y) for x, y in dataset), strict=True)
        self.weights = np.linalg.lstsq(_widen(features), np.stack(labels), rcond=None)[0]

    def test(self, dataset, remaining_time_budget=None):
        scores = _widen([x.ravel() for x, _ in dataset]) @ self.weights
        if self.done_training:
            return None
        self.done_training = True
        return scores


def _widen(rows):
    return np.column_stack([np.stack(rows), np.ones(len(rows))])
