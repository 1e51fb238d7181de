"""What can go wrong between us and a service.

ServiceError
├── RefusedError          the request cannot be carried out as it is (a UsageError, too)
├── AuthenticationError   the token is missing, wrong or not enough
├── QuotaError            too much, for now
└── TransientError        the service or the way to it fails; the same request may succeed later

``code`` is the service's own where it gave one.
"""

from __future__ import annotations

from autodl.errors import AutoDLError, UsageError


class ServiceError(AutoDLError):
    """Base of every error of the client."""


class RefusedError(ServiceError, UsageError):
    """The request cannot be carried out as it was given."""


class AuthenticationError(ServiceError):
    """The token is missing, wrong or not enough."""


class QuotaError(ServiceError):
    """Too much was asked for, for now."""


class TransientError(ServiceError):
    """The service, or the way to it, fails; the same request may succeed later."""
