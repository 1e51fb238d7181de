"""Signing in at the operator's identity provider: OpenID Connect Core 1.0, the code flow.

State, nonce and PKCE's verifier (RFC 7636) go with the browser in a signed cookie, so an answer is
taken only from the browser that asked, once, within ten minutes.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from autodl.errors import PlatformError, UsageError
from service.accounts import repository
from service.models import Account, Role, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from service.db import Database
    from service.settings import Settings

CALLBACK = "/login/oidc/callback"
SCOPE = "openid email profile"
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
ASK_SECONDS = 600.0
HTTP_SECONDS = 10.0
LEEWAY_SECONDS = 60


@dataclass(frozen=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    email: str | None  #: verified by the provider
    name: str


class Provider:
    """The operator's identity provider.

    Every call raises ``PlatformError`` (``provider-unavailable``) when it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._metadata: dict[str, Any] | None = None

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and what it keeps until it comes back."""
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with self._client() as client:
            url, state = client.create_authorization_url(
                self._read_metadata()["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
        return url, json.dumps({"state": state, "nonce": nonce, "verifier": verifier})

    def finish(self, kept: str, answer: Mapping[str, str]) -> Person:
        """Whom the browser is, by what it kept and what the provider gave it.

        Raises ``UsageError`` (``provider-refused``) when any of it does not fit.
        """
        asked = json.loads(kept)
        state = answer.get("state", "")
        if not secrets.compare_digest(state.encode(), asked["state"].encode()):
            raise _refused("the answer is not to this browser's question")
        metadata = self._read_metadata()
        if answer.get("iss", metadata["issuer"]) != metadata["issuer"]:  # RFC 9207
            raise _refused("the answer is another provider's")
        if "code" not in answer:
            raise _refused(answer.get("error", "it gave no code"))
        claims = self._read_claims(answer["code"], asked["verifier"], asked["nonce"])
        email = claims.get("email") if claims.get("email_verified") is True else None
        name = str(claims.get("preferred_username") or claims.get("name") or claims["sub"])
        return Person(
            subject=f"{metadata['issuer']} {claims['sub']}",
            email=email.lower() if isinstance(email, str) else None,
            name=name,
        )

    def _read_claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        metadata = self._read_metadata()
        try:
            with self._client() as client:
                token = client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=verifier
                )
            answer = httpx2.get(metadata["jwks_uri"], timeout=HTTP_SECONDS).raise_for_status()
            keys = KeySet.import_key_set(answer.json())
            claims = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS).claims
            registry = jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": metadata["issuer"]},
                aud={"essential": True, "value": self.settings.oidc_client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            registry.validate(claims)
        except httpx2.HTTPError as error:
            raise _unavailable(error) from error
        except (OAuthError, JoseError, KeyError, ValueError) as error:
            raise _refused(f"its answer cannot be trusted ({type(error).__name__})") from error
        return claims

    def _client(self) -> OAuth2Client:
        secret = self.settings.oidc_client_secret
        return OAuth2Client(
            self.settings.oidc_client_id,
            secret.get_secret_value() if secret else None,
            scope=SCOPE,
            redirect_uri=self.settings.effective_public_url + CALLBACK,
            code_challenge_method="S256",
            timeout=HTTP_SECONDS,
        )

    def _read_metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0; asked for once."""
        if self._metadata is None:
            issuer = self.settings.oidc_issuer
            url = issuer.rstrip("/") + "/.well-known/openid-configuration"
            try:
                answer = httpx2.get(url, timeout=HTTP_SECONDS).raise_for_status()
                metadata = answer.json()
            except (httpx2.HTTPError, ValueError) as error:
                raise _unavailable(error) from error
            if metadata.get("issuer") != issuer:
                raise _unavailable(ValueError("it calls itself by another name"))
            self._metadata = metadata
        return self._metadata


def sign_in_person(database: Database, person: Person, locale: str = "en") -> str:
    """The id of the person's account, made at the first time.

    It is found by the provider's subject, or by an address that both have verified. Raises
    ``UsageError`` (``account-disabled``).
    """
    with database.write() as session:
        account = repository.find_by_subject(session, person.subject)
        if account is None and person.email:
            account = repository.find_by_identifier(session, person.email)
            if account is not None and account.verified_at is None:
                account.password_hash = None  # whoever chose it did not have the address
                account.verified_at = utc_now()
        if account is None:
            is_first = not repository.has_administrator(session)
            account = Account(
                name=_find_free_name(session, person),
                email=person.email,
                verified_at=utc_now() if person.email else None,
                role=Role.ADMIN if is_first else Role.MEMBER,
                locale=locale,
            )
            session.add(account)
        if account.disabled_at is not None:
            raise UsageError("account-disabled", "The account was disabled.")
        account.oidc_subject = person.subject
        session.flush()
        return account.id


def _find_free_name(session: Session, person: Person) -> str:
    wanted = person.email or "".join(filter(str.isprintable, person.name))[:40].replace("@", " ")
    taken = repository.find_by_identifier(session, wanted) is not None
    return f"{wanted} {secrets.token_hex(3)}" if taken else wanted


def _refused(why: str) -> UsageError:
    return UsageError(
        "provider-refused", f"The identity provider did not sign you in: {why}.", hint="Try again."
    )


def _unavailable(error: Exception) -> PlatformError:
    return PlatformError(
        "provider-unavailable",
        f"The identity provider does not answer: {type(error).__name__}.",
        hint="Try again later, or sign in with a password or a token.",
    )
