"""Raw data into a bundle, by the formatter that ``autodl format`` is: part of a confined check.

What is refused is a report, as bad bundles are. ``progress.txt`` says how far it is.
"""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

from autodl.errors import AutoDLError, BundleError, UsageError
from autodl.report import Findings, Report
from formatter.convert import Summary, convert
from formatter.sink import zip_folder
from formatter.source import Options
from service.executors.base import Source
from service.worker.check import BUNDLE_NAME, FORMAT_BYTES, PROGRESS_NAME


class Formatted:
    """The bundle made of ``raw`` as the folder ``root``; or its ``refusal``.

    Raises ``MemoryError``.
    """

    def __init__(self, raw: Path, output: Path, source: Source) -> None:
        self.root = output / "made" / (raw.stem or raw.name)
        self.refusal: Report | None = None
        self._output = output
        self._summary: Summary | None = None
        options = Options(label=source.label, separator=source.separator)
        if source.test is not None:
            options = replace(options, test=source.test)
        try:
            self._summary = convert(raw, self.root, options, self._tell)
            (output / PROGRESS_NAME).unlink(missing_ok=True)
        except (BundleError, UsageError) as error:
            self._refuse(error, raw)
        except AutoDLError as error:
            raise MemoryError from error  # a process of the formatter was killed
        except OSError as error:
            self._refuse(_explain(error), raw)

    def pack(self, report: Report) -> Report:
        """Make the folder a zip if the report on it is good; what was formatted is added to it."""
        summary = self._summary
        assert summary is not None, "a refused source has no bundle"
        if report.ok:
            try:
                zip_folder(self.root, self._output / BUNDLE_NAME)
            except OSError as error:
                self._refuse(_explain(error), self.root)
                assert self.refusal is not None
                return self.refusal
        shutil.rmtree(self.root)
        told = {"kind": summary.kind, "split": summary.split, "counts": summary.counts}
        return Report(report.findings, {**report.summary, "formatted": told})

    def _tell(self, done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        (self._output / PROGRESS_NAME).write_text(str(percent), encoding="ascii")

    def _refuse(self, error: AutoDLError, raw: Path) -> None:
        findings = Findings(raw.parent)
        findings.add_error(error)
        self.refusal = Report(findings.sorted())


def _explain(error: OSError) -> BundleError:
    """The data's fault, if the system said that they are too large; raises the error else."""
    if error.errno not in (errno.EFBIG, errno.ENOSPC):
        raise error
    return BundleError(
        "format-too-large",
        f"The bundle that these data make, or a file on the way to it, is larger than"
        f" {FORMAT_BYTES >> 30} GiB.",
        hint="Format them yourself, with `autodl format --max-side 256` for one, and upload that.",
    )
