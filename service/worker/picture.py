"""The learning curve as the contest drew it (AutoDL formats 4.8), as PNG."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from autodl.score import START_SECONDS, LearningCurve, time_transform

INCHES = (7, 7.07)
TICKS_SECONDS = (10, 60, 300, 600, 1200, *range(1800, 86_400, 1800))


def draw_curve(curve: LearningCurve, name: str) -> bytes:
    """Draw scores over transformed time, the area below them, and the real seconds on top.

    Each score holds until the next, the last one, dashed, to the end of the budget.
    """
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    budget = curve.budget_seconds
    times = time_transform([0.0, *(p.seconds for p in curve.points)], budget).tolist()
    scores = [0.0, *(p.nauc for p in curve.points)]
    axes.step(times, scores, "b-o", where="post", markersize=3, label=f"ALC={curve.alc:.4f}")
    axes.plot([times[-1], 1], [scores[-1]] * 2, "b--")
    axes.fill_between([*times, 1], [*scores, scores[-1]], step="post", color="cyan")
    axes.annotate(f"{scores[-1]:.4f}", (1, scores[-1]), ha="right", va="bottom")
    axes.set_title(f"Learning curve for task: {name}", parse_math=False)
    formula = rf"$\log(1 + t/{START_SECONDS:g})\,/\,\log(1 + {budget:g}/{START_SECONDS:g})$"
    axes.set_xlabel(f"Transformed time: {formula}")
    axes.set_ylabel("score (2 * AUC - 1)")
    axes.set_xlim(0, 1)
    axes.set_ylim(min(-0.01, *scores), 1)
    axes.grid(True)
    axes.legend(loc="lower right")
    ticks = [t for t in TICKS_SECONDS if t < budget] + [budget]
    seconds = axes.secondary_xaxis("top")
    seconds.set_xticks(time_transform(ticks, budget), [f"{t:g}" for t in ticks], rotation=45)
    seconds.set_xlabel("Time in seconds")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
