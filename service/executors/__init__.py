"""The engines that carry out runs, and the one that the operator chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autodl.errors import UsageError
from autodl.sandbox import suffices

if TYPE_CHECKING:
    from service.executors.base import Executor
    from service.settings import Settings


def open_executor(settings: Settings) -> Executor:
    """The executor of ``AUTODL_EXECUTOR``; only its own libraries are loaded.

    Raises ``UsageError`` (``isolation-too-weak``) where it holds solutions less than
    ``AUTODL_REQUIRE_ISOLATION`` says.
    """
    executor = _open(settings)
    reached, wanted = executor.capabilities().isolation, settings.require_isolation
    if not suffices(reached, wanted):
        raise UsageError(
            "isolation-too-weak",
            f"Solutions would be held by {reached!r} here; the operator asked for {wanted!r}.",
            hint="`autodl doctor` says what is missing; or lower AUTODL_REQUIRE_ISOLATION.",
        )
    return executor


def _open(settings: Settings) -> Executor:
    if settings.executor == "kubernetes":
        from service.executors.kubernetes import KubernetesExecutor
        from service.settings import KubernetesSettings, load_settings

        return KubernetesExecutor(settings, load_settings(KubernetesSettings))
    if settings.executor == "slurm":
        from service.executors.slurm import SlurmExecutor
        from service.settings import SlurmSettings, load_settings

        return SlurmExecutor(settings, load_settings(SlurmSettings))
    from service.executors.local import LocalExecutor

    return LocalExecutor(settings)
