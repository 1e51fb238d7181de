"""The tree of errors.

AutoDLError
├── BundleError      the user's data are bad: the run is rejected, no quota is spent
├── SolutionError    the solution's code is bad
├── PlatformError    we are at fault: retried and refunded
└── UsageError       a command or request cannot be carried out as it was given

Every error has a ``code`` (kebab-case, documented in ``docs/errors.md``), says what is wrong
and, where it can, in which file, record (0-based) or line (1-based), and how to mend it.
"""

from __future__ import annotations


class AutoDLError(Exception):
    """Base of every error that a user may see."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        file: str | None = None,
        record: int | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.file = file
        self.record = record
        self.line = line

    def __reduce__(self) -> tuple[type[AutoDLError], tuple[str, str], dict[str, object]]:
        """So that it can be raised in one process and caught in another."""
        return type(self), (self.code, self.message), self.__dict__

    @property
    def where(self) -> str:
        """The place as people write it: ``file, record 3`` or ``file:12``; empty if unknown."""
        if self.file is None:
            return ""
        if self.line is not None:
            return f"{self.file}:{self.line}"
        return self.file if self.record is None else f"{self.file}, record {self.record}"

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        hint = f"{stop} {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class BundleError(AutoDLError):
    """The data are not what the formats allow."""


class SolutionError(AutoDLError):
    """The solution's code broke the model API or raised."""


class PlatformError(AutoDLError):
    """The platform failed: storage, database, executor, machine."""


class UsageError(AutoDLError):
    """The command or request is wrong in itself."""
