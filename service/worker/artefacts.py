"""What users get of a run that was scored, stored piece by piece under the run's prefix."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autodl.bundle import find_bundle, sha256_file
from autodl.errors import SolutionError
from autodl.manifest import describe_run
from autodl.predictions import read_labels
from autodl.results import write_results
from autodl.score import LearningCurve, write_scores
from autodl.untrusted import copy_plain, open_plain
from service.web.curve import curve_svg
from service.worker import archives
from service.worker.picture import draw_curve
from service.worker.program import Json
from service.worker.report import Reporter
from service.worker.score import find_labels
from service.worker.showcase import show_mistakes

if TYPE_CHECKING:
    from service.worker.tasks import PublishTask

MISTAKES = "mistakes.json"
LABELLED = "labelled/dataset.predict"  # what the user gets for the unlabelled part


class Artefacts:
    """Makes and stores the results of one run. ``notes`` is what a user must know of them."""

    def __init__(self, task: PublishTask, reporter: Reporter, curve: LearningCurve) -> None:
        self.notes: list[str] = []
        self._task = task
        self._reporter = reporter
        self._curve = curve
        self._name = find_bundle(task.bundle).name
        self._made = task.folder / "results"
        self._made.mkdir(exist_ok=True)  # there already when this program was killed before
        self._digests: dict[str, str] = {}

    def store(self) -> None:
        """Everything but the result and the manifest, which come last."""
        curve = self._curve
        self.put("curve.json", curve.to_json())
        self._put_bytes("curve.svg", curve_svg(curve.points, curve.budget_seconds).encode())
        self._put_bytes("curve.png", draw_curve(curve, self._name))
        write_scores(curve, self._made / "scores.txt")
        self._put_file("scores.txt", self._made / "scores.txt")
        unlabelled = self._take(LABELLED)
        self._store_tables(unlabelled)
        self._store_archive(unlabelled)
        self._store_model()

    def store_manifest(self, outcome: Json, confinement: dict[str, str]) -> None:
        """Say what the run was made of, and what came out."""
        task = self._task
        assert task.solution is not None, "a solving run has one"
        predictions = {
            f"predictions/{point.index}.predict": sha256_file(self._fetch(point.index))
            for point in self._curve.points
        }
        manifest = describe_run(
            data={"name": self._name, "sha256": task.sha256},
            solution=task.solution,
            weights=task.weights,
            budget_seconds=task.budget_seconds,
            outcome=outcome,
            confinement=confinement,
            files=self._digests | predictions,
        )
        self.put("manifest.json", manifest)

    def put(self, name: str, value: Json) -> None:
        """Store a value as JSON."""
        self._put_bytes(name, json.dumps(value, indent=1).encode())

    def _store_tables(self, unlabelled: Path | None) -> None:
        """The tables and the metrics; a broken unlabelled part costs only itself."""
        tables = self._made / "tables"
        tables.mkdir(exist_ok=True)
        metrics, notes = write_results(
            tables,
            bundle_root=self._task.bundle,
            labels=read_labels(find_labels(self._task.labels)),
            curve=self._curve,
            prediction=self._fetch,
            unlabelled=unlabelled,
        )
        self.notes += notes
        self._store_mistakes([mistake.row for mistake in metrics.mistakes])
        for path in sorted(tables.iterdir()):
            self._put_file(path.name, path)
        if unlabelled is not None and not notes:
            self._put_file(LABELLED, unlabelled)

    def _store_mistakes(self, rows: list[int]) -> None:
        """What the surest mistakes look or sound like, for their page."""
        shown = show_mistakes(self._task.bundle, self._task.folder / "mistakes", rows)
        self.put(MISTAKES, {"items": [example.to_json() for example in shown]})

    def _store_archive(self, unlabelled: Path | None) -> None:
        """The files of the contest's own programs, in one zip."""
        target = self._made / "results.zip"
        archives.write_results(target, self._list_originals(unlabelled), self._name)
        self._put_file("results.zip", target)

    def _list_originals(self, unlabelled: Path | None) -> Iterator[tuple[str, Path]]:
        for name in ("start.txt", "end.txt"):
            if (path := self._take(name)) is not None:
                yield name, path
        for point in self._curve.points:
            yield f"{self._name}.predict_{point.index}", self._fetch(point.index)
        if unlabelled is not None:
            yield LABELLED, unlabelled
        yield "scores.txt", self._made / "scores.txt"
        yield f"learning-curve-{self._name}.png", self._made / "curve.png"

    def _store_model(self) -> None:
        output, target = self._task.output, self._made / "model.zip"
        try:
            if archives.write_model(output / "model", output, target):
                self._put_file("model.zip", target)
        except SolutionError as error:
            self.notes.append(error.message)

    def _take(self, name: str) -> Path | None:
        """Copy it out of the solution's folder; where that has a link, there is nothing to take."""
        taken = self._made / name.replace("/", "-")
        found = copy_plain(self._task.output / name, taken, within=self._task.output)
        return taken if found else None

    def _fetch(self, index: int) -> Path:
        """The prediction of that index, as it was scored."""
        path = self._made / f"{index}.predict"
        if not path.exists():
            key = self._reporter.key(f"predictions/{index}.predict")
            aside = path.with_suffix(".part")
            with self._reporter.storage.open(key) as stored, aside.open("wb") as file:
                shutil.copyfileobj(stored, file)
            aside.replace(path)
        return path

    def _put_bytes(self, name: str, content: bytes) -> None:
        (self._made / name).write_bytes(content)
        self._put_file(name, self._made / name)

    def _put_file(self, name: str, path: Path) -> None:
        with open_plain(path) as file:
            stored = self._reporter.storage.put(self._reporter.key(name), file)
        self._digests[name] = stored.sha256
