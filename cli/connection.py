"""Which service, and the token for it: what ``autodl login`` kept, or what an option says.

A token lies in the desktop's keyring where there is one (the package ``keyring``), else in a file
of the user's configuration that only the user can read. It is never given as an option, where
other users of the machine would see it.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from autodl.errors import UsageError

if TYPE_CHECKING:
    from client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
LOCAL_TOKEN = Path(".autodl/token")  # that of a service started in this folder
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
KEYRING_NAME = "autodl"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AUTODL_URL",
        help=f"The service's address.  [default: that of autodl login, else {DEFAULT_URL}]",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="AUTODL_TOKEN_FILE",
        help="A file with your token.  [default: that of autodl login]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def connect(url: str | None, token_file: Path | None) -> Client:
    """A client for the service that is meant; ``UsageError`` (``token-not-found``)."""
    from client import Client

    address = find_url(url)
    return Client(address, find_token(address, token_file))


def find_url(url: str | None) -> str:
    """The address given, or that of the last login, or that of a service on this machine."""
    return (url or str(Logins().default or DEFAULT_URL)).rstrip("/")


def find_token(url: str, token_file: Path | None) -> str:
    """The token for this address.

    The token of a service in this folder is shown to services on this machine only.
    """
    if token_file is not None:
        return read_token(token_file)
    if (token := Logins().find(url)) is not None:
        return token
    if urlsplit(url).hostname in LOCAL_HOSTS and LOCAL_TOKEN.is_file():
        return read_token(LOCAL_TOKEN)
    raise UsageError(
        "token-not-found",
        f"There is no token to show to {url}.",
        hint="Log in with `autodl login`, give --token-file, or start a service: autodl serve",
    )


def read_token(path: Path) -> str:
    """The token in a file; ``UsageError`` (``token-not-found``)."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "token-not-found",
            "The file with your token cannot be read.",
            hint="Give another with --token-file or AUTODL_TOKEN_FILE, or use `autodl login`.",
            file=str(path),
        ) from error


class Logins:
    """The services that were logged in to: ``login.json``, mode 0600, and the keyring."""

    def __init__(self) -> None:
        self.path = Path(typer.get_app_dir("autodl")) / "login.json"
        self._kept: dict[str, Any] = {"default": None, "tokens": {}}
        try:
            self._kept |= json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                "login-file-invalid",
                "The file of your logins cannot be read.",
                hint="Remove it, and log in again.",
                file=str(self.path),
            ) from error

    @property
    def default(self) -> str | None:
        """The address of the last login."""
        found: str | None = self._kept["default"]
        return found

    def find(self, url: str) -> str | None:
        """The token for a service; ``None`` without a login."""
        if url not in self._kept["tokens"]:
            return None
        token: str | None = self._kept["tokens"][url]
        return token if token is not None else _ask_keyring(url)

    def keep(self, url: str, token: str) -> str:
        """Keep a token, and make its service the default one; where it lies now, in words."""
        in_keyring = _use_keyring("set_password", url, token)
        self._kept["tokens"][url] = None if in_keyring else token
        self._kept["default"] = url
        self._write()
        return "the keyring" if in_keyring else str(self.path)

    def forget(self, url: str) -> bool:
        """Forget the login; whether there was one."""
        known = url in self._kept["tokens"]
        if known and self._kept["tokens"].pop(url) is None:
            _use_keyring("delete_password", url)
        if self._kept["default"] == url:
            self._kept["default"] = None
        self._write()
        return known

    def _write(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self.path.with_suffix(".new")
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(self._kept, indent=1) + "\n", encoding="utf-8")
        aside.replace(self.path)


def _use_keyring(verb: str, *arguments: str) -> bool:
    """Whether there is a keyring and it did as it was told."""
    if find_spec("keyring") is None:
        return False
    import keyring
    import keyring.errors

    try:
        getattr(keyring, verb)(KEYRING_NAME, *arguments)
    except keyring.errors.KeyringError:  # among them: a machine without a desktop has none
        return False
    return True


def _ask_keyring(url: str) -> str | None:
    if find_spec("keyring") is None:
        return None  # it was there at the login
    import keyring
    import keyring.errors

    try:
        token: str | None = keyring.get_password(KEYRING_NAME, url)
    except keyring.errors.KeyringError as error:
        raise UsageError(
            "keyring-locked", f"The keyring does not give your token: {error}.", hint="Unlock it."
        ) from error
    return token
