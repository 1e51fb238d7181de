"""Draw every learning curve of a benchmark's results in one picture: a panel a dataset.

    python benchmarks/curves.py benchmarks/results/solution.json curves.svg

Time is drawn as the ALC weighs it, logarithmically from t0 = 60 s. The picture's kind is that of
its ending (svg, png).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

plt.rcParams.update({"svg.hashsalt": "curves", "svg.fonttype": "none"})  # the same bytes again

START_SECONDS = 60.0  # the contest's t0
COLUMNS = 3
TICKS = (3, 10, 30, 60, 120, 300, 600, 1200)


def draw(results: list[dict[str, Any]], budget: float, out: Path) -> None:
    """One panel a dataset; a solution has the same colour in all of them."""
    datasets = sorted({result["dataset"] for result in results})
    names = sorted({label_of(result) for result in results})
    colours = dict(zip(names, plt.get_cmap("tab10").colors * 3, strict=False))
    rows = -(-len(datasets) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(5 * COLUMNS, 3.2 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(datasets) :]:
        axis.set_visible(False)
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        ticks = [tick for tick in TICKS if tick <= budget]
        axis.set_xticks([transform(tick, budget) for tick in ticks], [str(tick) for tick in ticks])
        axis.set(title=dataset, xlim=(0, 1), ylim=(min(0, _lowest(results, dataset)), 1.02))
        axis.grid(alpha=0.3)
        for result in results:
            if result["dataset"] == dataset and result["points"]:
                _draw_curve(axis, result, budget, colours)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7, loc="lower right")
    figure.supxlabel("seconds")
    figure.supylabel("NAUC of the newest prediction")
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)
    plt.close(figure)


def transform(seconds: float, budget: float) -> float:
    """Where a second lies on the axis, 0 to 1."""
    return float(np.log1p(seconds / START_SECONDS) / np.log1p(budget / START_SECONDS))


def label_of(result: dict[str, Any]) -> str:
    """The name of a curve."""
    return result["solution"] + ("" if result["weights"] else ", no weights")


def _lowest(results: list[dict[str, Any]], dataset: str) -> float:
    found = [p[1] for r in results if r["dataset"] == dataset for p in r["points"]]
    return min(found, default=0.0)


def _draw_curve(axis: Any, result: dict[str, Any], budget: float, colours: dict[str, Any]) -> None:
    points = result["points"]
    x = [transform(seconds, budget) for seconds, _ in points] + [1.0]
    y = [nauc for _, nauc in points] + [points[-1][1]]
    name = label_of(result)
    text = f"{name} {result['alc']:.3f}"
    axis.step(x, y, where="post", color=colours[name], linewidth=1.4, label=text)


def main(arguments: list[str]) -> int:
    """Draw the results of each budget; with several, the budget is put into the file's name."""
    source, out = Path(arguments[0]), Path(arguments[1])
    results = json.loads(source.read_text(encoding="utf-8"))["results"]
    budgets = sorted({result["budget_seconds"] for result in results})
    for budget in budgets:
        name = out if len(budgets) == 1 else out.with_stem(f"{out.stem}_{budget:g}s")
        draw([r for r in results if r["budget_seconds"] == budget], budget, name)
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
