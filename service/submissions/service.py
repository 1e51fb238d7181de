"""Each step of a submission's life.

Every step is one function; the caller owns the transaction. Each changes the state through
``states.transition``, which appends to the history in the same transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from autodl.errors import BundleError, PlatformError, SolutionError, UsageError
from service import tracing
from service.accounts import fairness, quotas
from service.accounts.tokens import hash_secret
from service.executors.base import RETRIED, End
from service.models import (
    CurvePoint,
    Json,
    Run,
    RunKind,
    RunState,
    Submission,
    SubmissionState,
    Upload,
    new_id,
    utc_now,
)
from service.submissions import asking, holding, repository
from service.submissions.states import ENDED as ENDED
from service.submissions.states import TRANSITIONS as TRANSITIONS
from service.submissions.states import transition as transition
from service.worker.program import describe_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from autodl.score import Point

S = SubmissionState
LOG_NAME = "log.txt"  # of a run, below its prefix
HEARD_EVERY = timedelta(seconds=10)  # that an executor is full is noted
RETRIES = 2  # further runs after one that the platform failed


def run_prefix(run_id: str) -> str:
    """Below which all of a run's artefacts lie in the store."""
    return f"runs/{run_id}"


def create_submission(
    session: Session,
    account_id: str,
    request: asking.Request,
    upload: Upload,
    *,
    rerun_of: str | None = None,
) -> Submission:
    """Accept a submission whose upload is complete.

    Raises ``LimitError`` (``quota-exceeded``).
    """
    submission = Submission(
        id=new_id(),
        account_id=account_id,
        name=request.name,
        budget_seconds=request.budget_seconds,
        solution=request.solution,
        bundle_key=upload.key,
        bundle_bytes=upload.size_bytes,
        bundle_sha256=upload.sha256 or "",
        upload_id=upload.id,
        source=request.source.model_dump(mode="json"),
        review_seconds=request.review_seconds,
        notify=request.notify,
        rerun_of=rerun_of,
        traceparent=(None if rerun_of else upload.traceparent) or tracing.current(),
        retained_until=request.retained_until,
    )
    quotas.hold(session, submission, request.limits)
    session.add(submission)
    transition(
        session,
        submission,
        S.VALIDATING,
        actor="account",
        cause="The same data are to be run again." if rerun_of else "The bundle was uploaded.",
        reason="Waiting for the data to be checked.",
    )
    return submission


def cancel_submission(session: Session, account_id: str, submission_id: str) -> Submission:
    """Ask for an end; the reconciler brings it about. Asking again changes nothing.

    Raises ``UsageError``: ``submission-not-found``, or ``submission-ended`` when there is nothing
    to stop.
    """
    submission = repository.get_submission(session, account_id, submission_id)
    session.refresh(submission, with_for_update=True)
    if submission.state is S.CANCELED:
        return submission
    if submission.state in ENDED:
        raise UsageError(
            "submission-ended", f"The submission has already {submission.state.value}."
        )
    if not submission.cancel_wanted:
        submission.cancel_wanted = True
        submission.status_reason = "Being canceled: waiting for its programs to end."
    return submission


def record_point(session: Session, run_id: str, token: str, point: Json) -> None:
    """Keep a scored prediction (``index, seconds, nauc, accuracy, alc``); again changes nothing.

    Raises ``PlatformError`` (``run-superseded``), as do all functions that take a token.
    """
    repository.get_current_run(session, run_id, token)
    session.merge(CurvePoint(run_id=run_id, **point))


def note_steps(session: Session, run_id: str, token: str, steps: Mapping[str, object]) -> None:
    """When each program of the run began and ended, in seconds of Unix time; None: not yet."""
    _, run = repository.get_current_run(session, run_id, token)
    run.steps = dict(steps)


def begin_scoring(session: Session, run_id: str, token: str) -> None:
    """The solution has stopped; what it left is being scored and stored."""
    submission, run = repository.get_current_run(session, run_id, token)
    if submission.state is S.QUEUED:  # faster than the reconciler's next look
        begin_running(session, submission)
    if submission.state is S.RUNNING:
        transition(
            session,
            submission,
            S.SCORING,
            actor=f"run {run.number}",
            cause="The solution has stopped.",
            reason="Waiting for the last predictions to be scored and stored.",
        )


def begin_running(session: Session, submission: Submission) -> None:
    """The submission's solve run has started."""
    cause = f"The run started: the solution has {submission.budget_seconds:g} seconds."
    transition(session, submission, S.RUNNING, actor="reconciler", cause=cause)


def note_submitted(session: Session, run_id: str) -> None:
    """The executor has taken the run."""
    _, run = repository.lock_run(session, run_id)
    if run.state is RunState.CREATED:  # else it was already seen to have come further
        run.state = RunState.SUBMITTED


def note_refused(session: Session, run_id: str, message: str, *, is_full: bool) -> None:
    """The executor does not take the run now: for want of room, or of itself."""
    submission, run = repository.lock_run(session, run_id)
    if run.state is RunState.CREATED:
        note_progress(submission, message)
        if is_full and utc_now() - (run.observed_at or run.created_at) > HEARD_EVERY:
            run.observed_at = utc_now()


def note_started(session: Session, submission: Submission, run: Run) -> None:
    """The run was seen at work for the first time."""
    run.state = RunState.RUNNING
    run.started_at = utc_now()
    if submission.state is S.QUEUED:
        begin_running(session, submission)


def note_progress(submission: Submission, message: str) -> None:
    """Say what the run is doing, unless something else is being waited for."""
    if message and not submission.cancel_wanted:
        submission.status_reason = message


def finish_check(
    session: Session,
    run_id: str,
    token: str,
    report: Json,
    error: Json | None,
    made: Json | None = None,
) -> None:
    """Record what the check found: on to the queue or to its owner, or ``rejected``.

    ``made`` (``size_bytes``, ``sha256``) is the bundle that the run made of raw data and stored as
    ``bundle.zip``: from here on it is the submission's.
    """
    submission, run = repository.get_current_run(session, run_id, token)
    submission.report = report
    end_run(session, submission, run, RunState.ENDED, End.OK, "The check ended.")
    actor = f"run {run.number}"
    if error is not None:
        submission.error = error
        transition(session, submission, S.REJECTED, actor=actor, cause=error["message"])
        return
    if made is not None:
        submission.bundle_key = f"{run_prefix(run_id)}/bundle.zip"
        submission.bundle_bytes, submission.bundle_sha256 = made["size_bytes"], made["sha256"]
    holding.queue_or_hold(session, submission, actor)


def finish_solve(
    session: Session, run_id: str, token: str, *, result: Json | None, error: Json | None
) -> None:
    """Record the outcome of a solve run.

    With a result (see ``summarize``) the submission has succeeded, whatever happened to the
    solution after its last prediction; without one ``error`` says why, and its family whether that
    means rejected or failed.
    """
    begin_scoring(session, run_id, token)
    submission, run = repository.get_current_run(session, run_id, token)
    submission.error = error
    submission.result = result
    actor = f"run {run.number}"
    if result is not None:
        end_run(session, submission, run, RunState.ENDED, End.OK, "The run ended.")
        cause = result.get("note") or "The run ended with a result."
        transition(session, submission, S.SUCCEEDED, actor=actor, cause=cause)
        return
    assert error is not None
    end_run(session, submission, run, RunState.ENDED, End.USER_ERROR, error["message"])
    state = S.REJECTED if error["family"] == "data" else S.FAILED
    transition(session, submission, state, actor=actor, cause=error["message"])


def create_run(
    session: Session, submission: Submission, kind: RunKind, executor: str, secret: str
) -> Run:
    """Give the submission its next run; an earlier one can write no more from here on."""
    run_id = new_id()
    run = Run(
        id=run_id,
        submission_id=submission.id,
        number=repository.count_runs(session, submission.id) + 1,
        kind=kind,
        executor=executor,
        state=RunState.CREATED,
        spec={},
        fence=hash_secret(repository.make_token(secret, run_id)),
    )
    session.add(run)
    submission.current_run_id = run_id
    if kind is RunKind.SOLVE:
        fairness.serve(session, submission.account_id)
    return run


def lose_run(session: Session, submission: Submission, run: Run, end: End, message: str) -> None:
    """Give up a run that failed by no fault of its own.

    Another one is due, unless the submission was canceled or the platform has failed too often.
    """
    end_run(
        session,
        submission,
        run,
        RunState.LOST if end is End.NODE_LOST else RunState.ENDED,
        end,
        message,
    )
    if submission.cancel_wanted:
        end_canceled(session, submission)
    elif repository.count_runs(session, submission.id, run.kind) > RETRIES:
        error = PlatformError(
            "run-lost",
            f"The platform failed {RETRIES + 1} times to carry out the run; at last: {message}",
            hint="Nothing is wrong with your data. Submit again, and tell the operator.",
        )
        end_with_points(session, submission, run, describe_error(error))
    else:
        reason = f"{message} Waiting for a free slot to start again."
        if submission.state in (S.RUNNING, S.SCORING):
            transition(
                session, submission, S.QUEUED, actor="reconciler", cause=message, reason=reason
            )
        submission.status_reason = reason


def stop_run(session: Session, submission: Submission, run: Run, end: End, message: str) -> None:
    """The run was stopped for going past a limit, so another one would end the same way."""
    end_run(session, submission, run, RunState.ENDED, end, message)
    kind = BundleError if run.kind is RunKind.CHECK else SolutionError
    error = kind("run-stopped", message, hint="Try a smaller dataset or a lighter solution.")
    end_with_points(session, submission, run, describe_error(error))


def end_with_points(session: Session, submission: Submission, run: Run, error: Json) -> None:
    """End the submission after a run that could not publish: what was scored by then counts."""
    points = repository.list_points(session, run.id) if run.kind is RunKind.SOLVE else ()
    submission.error = error
    if points:
        if submission.state is S.QUEUED:  # its whole run came and went between two looks
            begin_running(session, submission)
        if submission.state is not S.SCORING:
            transition(session, submission, S.SCORING, actor="reconciler", cause=error["message"])
        submission.result = summarize(points, note=error["message"])
        transition(session, submission, S.SUCCEEDED, actor="reconciler", cause=error["message"])
    else:
        state = S.REJECTED if error["family"] == "data" else S.FAILED
        transition(session, submission, state, actor="reconciler", cause=error["message"])


def summarize(
    points: Sequence[CurvePoint] | Sequence[Point],
    note: str = "",
    duration_seconds: float | None = None,
) -> Json:
    """The figures of a curve with at least one point, as ``Submission.result`` keeps them."""
    last = points[-1]
    return {
        "alc": last.alc,
        "nauc": last.nauc,
        "accuracy": last.accuracy,
        "points": len(points),
        "first_prediction_seconds": points[0].seconds,
        "duration_seconds": duration_seconds,
        "note": note,
    }


def end_canceled(session: Session, submission: Submission) -> None:
    """Nothing of the submission is at work any more."""
    transition(session, submission, S.CANCELED, actor="account", cause="Canceled.")


def end_expired(session: Session, submission: Submission) -> None:
    """The submission has waited for longer than the operator allows."""
    transition(
        session,
        submission,
        S.EXPIRED,
        actor="reconciler",
        cause="No slot became free in time. Submit again when the queue is shorter.",
    )


def end_run(
    session: Session, submission: Submission, run: Run, state: RunState, end: End, message: str
) -> None:
    """Record a run's outcome; from here on its token opens nothing."""
    run.state = state
    run.outcome = {"end": end.value, "message": message}
    run.ended_at = utc_now()
    if run.started_at is not None and end not in RETRIED:
        seconds = (run.ended_at - run.started_at).total_seconds()  # of two machines' clocks
        fairness.charge(session, submission.account_id, max(0.0, seconds))
