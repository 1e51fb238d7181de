"""The engines that carry out runs, and the one that the operator chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.executors.base import Executor
    from service.settings import Settings


def open_executor(settings: Settings) -> Executor:
    """The executor of ``AUTODL_EXECUTOR``; only its own libraries are loaded."""
    if settings.executor == "kubernetes":
        from service.executors.kubernetes import KubernetesExecutor
        from service.settings import KubernetesSettings

        return KubernetesExecutor(settings, KubernetesSettings())
    from service.executors.local import LocalExecutor

    return LocalExecutor(settings)
