"""Time NAUC against scikit-learn's ROC AUC, and the writing and reading of predictions.

    python benchmarks/scoring.py [--rows 10000] [--classes 100]

Prints one JSON object; both scorers run in the same process on the same arrays, best of five.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from autodl.predictions import read_predictions, write_predictions
from autodl.score import nauc


def best_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=100)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    labels = np.eye(options.classes)[random.integers(0, options.classes, options.rows)]
    scores = random.random(labels.shape)
    assert abs(nauc(labels, scores) - (2 * roc_auc_score(labels, scores) - 1)) < 1e-12
    ours = best_seconds(lambda: nauc(labels, scores))
    theirs = best_seconds(lambda: roc_auc_score(labels, scores))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.predict_0"
        writing = best_seconds(lambda: write_predictions(scores, path))
        reading = best_seconds(lambda: read_predictions(path, scores.shape))
    result = {
        "rows": options.rows,
        "classes": options.classes,
        "nauc_seconds": ours,
        "sklearn_seconds": theirs,
        "sklearn_over_nauc": theirs / ours,
        "write_predictions_seconds": writing,
        "read_predictions_seconds": reading,
    }
    print(json.dumps({key: round(value, 4) for key, value in result.items()}))


if __name__ == "__main__":
    main()
