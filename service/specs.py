"""What an executor is told of a run, out of the rows and the operator's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.executors.base import (
    PublishSpec,
    RunKind,
    RunSpec,
    SolveSpec,
    Source,
    StageSpec,
)
from service.submissions import repository, service

if TYPE_CHECKING:
    from service.models import Run, Submission
    from service.settings import Settings
    from service.storage import Storage

MARGIN_SECONDS = 300.0  # of the backstop, over all clocks of the run itself


def build_spec(settings: Settings, storage: Storage, submission: Submission, run: Run) -> RunSpec:
    """The run's specification; with its token and its way to the bundle, so for no row."""
    solving = run.kind is RunKind.SOLVE
    solve = SolveSpec(
        solution=submission.solution,
        budget_seconds=submission.budget_seconds,
        construction_seconds=settings.construction_seconds,
        check_seconds=settings.check_seconds,
    )
    work_seconds = solve.limit_seconds if solving else settings.check_seconds
    return RunSpec(
        run_id=run.id,
        tenant=submission.account_id,
        kind=run.kind,
        source=Source.model_validate(submission.source),
        stage=StageSpec(
            url=storage.url(submission.bundle_key),
            size_bytes=submission.bundle_bytes,
            sha256=submission.bundle_sha256,
            limit_seconds=settings.stage_seconds,
        ),
        solve=solve,
        publish=PublishSpec(
            prefix=service.run_prefix(run.id),
            token=repository.make_token(settings.read_secret(), run.id),
            limit_seconds=settings.publish_seconds,
        ),
        backstop_seconds=settings.stage_seconds
        + work_seconds
        + 6 * settings.publish_seconds  # score's last look, then publish, three tries each
        + MARGIN_SECONDS,
    )
