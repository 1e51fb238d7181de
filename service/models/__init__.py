"""The tables, by theme; import them from here, so that every one is known to the metadata."""

from service.models.accounts import Account as Account
from service.models.accounts import AuditEntry as AuditEntry
from service.models.accounts import BrowserSession as BrowserSession
from service.models.accounts import Invitation as Invitation
from service.models.accounts import OneTimeToken as OneTimeToken
from service.models.accounts import Purpose as Purpose
from service.models.accounts import Role as Role
from service.models.accounts import Token as Token
from service.models.base import Base as Base
from service.models.base import Json as Json
from service.models.base import new_id as new_id
from service.models.base import utc_now as utc_now
from service.models.ledger import EntryKind as EntryKind
from service.models.ledger import LedgerEntry as LedgerEntry
from service.models.notifications import DeliveryState as DeliveryState
from service.models.notifications import Notification as Notification
from service.models.notifications import Webhook as Webhook
from service.models.submissions import CurvePoint as CurvePoint
from service.models.submissions import Run as Run
from service.models.submissions import RunKind as RunKind
from service.models.submissions import RunState as RunState
from service.models.submissions import Submission as Submission
from service.models.submissions import SubmissionState as SubmissionState
from service.models.submissions import Transition as Transition
