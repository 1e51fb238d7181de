"""Findings and the report that collects them: what ``check`` returns and the service stores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from autodl.errors import AutoDLError

Severity = Literal["error", "warning", "note"]
MAX_PER_CODE = 10  # findings of one code and severity that are listed; the rest are counted


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, and where.

    ``record`` counts from 0, ``line`` from 1; ``file`` is relative to the dataset's root; ``item``
    is what the record was called before it was formatted, where that is known. An ``error`` rejects
    the dataset, a ``warning`` is likely a mistake, a ``note`` is for information.
    """

    code: str
    severity: Severity
    message: str
    hint: str = ""
    file: str | None = None
    record: int | None = None
    line: int | None = None
    item: str | None = None

    @property
    def where(self) -> str:
        """The place as people write it; empty if unknown."""
        place = AutoDLError(
            self.code, self.message, file=self.file, record=self.record, line=self.line
        ).where
        return place if self.item is None else f"{place} (item {self.item})"


@dataclass(frozen=True)
class Report:
    """All findings about a dataset, errors first, and its ``summary`` (JSON values only)."""

    findings: tuple[Finding, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the dataset can be run: no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> str:
        """The report as one JSON object with ``ok``, ``findings`` and ``summary``."""
        findings = [asdict(finding) for finding in self.findings]
        return json.dumps(
            {"ok": self.ok, "findings": findings, "summary": self.summary}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that ``to_json`` wrote."""
        data = json.loads(text)
        return cls(tuple(Finding(**f) for f in data["findings"]), data["summary"])


class Findings:
    """Gathers findings; of those that repeat, the first few and a count are kept."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: list[Finding] = []
        self._counts: Counter[tuple[str, Severity]] = Counter()

    def add(self, finding: Finding) -> None:
        """Keep ``finding`` unless its code has been listed often enough."""
        kind = finding.code, finding.severity
        self._counts[kind] += 1
        if self._counts[kind] <= MAX_PER_CODE:
            self._found.append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep several."""
        for finding in findings:
            self.add(finding)

    def add_error(self, error: AutoDLError) -> None:
        """Keep an error as a finding."""
        file = None if error.file is None else self.relative(error.file)
        place = file, error.record, error.line
        self.add(Finding(error.code, "error", error.message, error.hint, *place))

    def relative(self, file: str) -> str:
        """``file`` as seen from the dataset's root."""
        path = Path(file)
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else path.name

    def sorted(self) -> tuple[Finding, ...]:
        """Errors, warnings, notes, each in the order found; the last of a cut list counts it."""
        found = list(self._found)
        for kind, count in self._counts.items():
            if count > MAX_PER_CODE:
                last = max(i for i, f in enumerate(found) if (f.code, f.severity) == kind)
                rest = f"{found[last].message} There are {count - MAX_PER_CODE:,} more like this."
                found[last] = Finding(**{**asdict(found[last]), "message": rest})
        order = ("error", "warning", "note")
        return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))
