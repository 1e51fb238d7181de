"""Who may do what: every route of the API's description, asked by everyone there is.

Routes are told apart by their address alone, so that a new one falls under a rule or fails here.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest

from service.accounts.tokens import Scope, create_token
from service.models import Account, utc_now
from tests.integration.test_api_refusals import expect

ROLES = ("owner", "reading", "other", "link", "admin", "nobody")
SHA = "0" * 64
#: a body where one is needed; what the owner asks for with it must be possible
BODIES = {
    ("POST", "/v1/submissions"): {"upload_id": "{upload_id}"},
    ("PATCH", "/v1/submissions/{submission_id}"): {
        "retained_until": (utc_now() + timedelta(days=1)).isoformat()
    },
    ("PUT", "/v1/submissions/{submission_id}/publication"): {"dataset": "toy", "author": "ada"},
    ("POST", "/v1/uploads"): {"size_bytes": 7},
    ("POST", "/v1/uploads/{upload_id}/parts"): {"parts": [{"number": 1, "sha256": SHA}]},
    ("PATCH", "/v1/account"): {"locale": "fr"},
    ("POST", "/v1/account/tokens"): {"name": "mine"},
    ("PATCH", "/v1/admin/accounts/{account_id}"): {"weight": 2},
    ("POST", "/v1/admin/invitations"): {},
    ("POST", "/v1/webhooks"): {"url": "https://93.184.216.34/hook"},
}
#: refusals of the request itself, by somebody who has been let in
NOT_NOW = {"submission-ended", "upload-empty", "upload-incomplete", "administrator-needed"}
OPEN = {"/healthz", "/readyz"}
READABLE = re.compile(  # what a link to a submission opens
    r"/v1/submissions/{submission_id}(/(events|curve|curve\.svg|report|log|files|files/{path}))?"
)


@dataclass
class World:
    """An owner with one of everything, and the others."""

    installation: object
    tokens: dict[str, str]
    objects: dict[str, str]

    def ask(self, role: str, method: str, path: str):
        address = path.format(**self.objects)
        body = BODIES.get((method, path))
        if body == {"upload_id": "{upload_id}"}:
            body = {"upload_id": self.objects["complete_id"]}
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role != "nobody" else {}
        http = self.installation.http
        http.headers.pop("Authorization", None)
        return http.request(method, address, json=body, headers=headers)


def add_account(installation, name: str, *scopes: Scope) -> tuple[str, str]:
    with installation.context.database.write() as session:
        account = Account(name=name)
        session.add(account)
        session.flush()
        return account.id, add_token(session, account.id, *scopes)[1]


def add_token(session, account_id: str, *scopes: Scope) -> tuple[str, str]:
    row, token = create_token(session, account_id, name="t", scopes=scopes, expires_at=None)
    return row.id, token


def make_world(installation) -> World:
    """New objects each time: some requests are the end of theirs."""
    http, everything = installation.http, tuple(Scope)
    name = f"ada {utc_now().timestamp()}"
    owner_id, owner = add_account(installation, name, *everything)
    _, other = add_account(installation, f"not {name}", *everything)
    with installation.context.database.write() as session:
        _, reading = add_token(session, owner_id, Scope.READ)
        token_id, _ = add_token(session, owner_id, Scope.READ)
    admin = installation.token
    http.headers["Authorization"] = f"Bearer {owner}"
    submission_id = installation.submit(name.encode())
    run_id = installation.succeed(submission_id, {"predictions.csv": b"1\n"})
    shares = f"/v1/submissions/{submission_id}/shares"
    link = http.post(shares).json()
    upload = http.post("/v1/uploads", json={"size_bytes": 7}).json()
    hook = http.post("/v1/webhooks", json={"url": "https://93.184.216.34/hook"}).json()
    complete = http.put("/v1/uploads", content=b"other " + name.encode()).json()
    http.headers["Authorization"] = f"Bearer {admin}"
    objects = {
        "submission_id": submission_id,
        "share_id": link["id"],
        "upload_id": upload["id"],
        "complete_id": complete["id"],
        "webhook_id": hook["id"],
        "token_id": token_id,
        "account_id": owner_id,
        "run_id": run_id,
        "path": "predictions.csv",
        "number": "1",
    }
    tokens = {"owner": owner, "reading": reading, "other": other, "link": link["token"]}
    return World(installation, tokens | {"admin": admin}, objects)


def expected(role: str, method: str, path: str) -> tuple[int, str] | None:
    """Status and begin of the refusal's code, or None where the request is let through."""
    if path in OPEN:
        return None
    if path == "/v1/uploads/{upload_id}/parts/{number}":
        return 403, "part-url-invalid"  # none of them has a signed address
    if role == "nobody":
        return 401, "authentication-required"
    is_read = method == "GET"
    if role == "link":
        can = is_read and READABLE.fullmatch(path)
        return None if can else (401, "token-invalid")
    if path.startswith("/v1/admin/"):
        return None if role == "admin" else (403, "administrators-only")
    if role == "reading" and not is_read:
        return 403, "scope-missing"
    if role in ("other", "admin") and (method, path) == ("POST", "/v1/submissions"):
        return 404, "upload-not-found"
    if role in ("other", "admin") and "{" in path:
        kind = re.search(r"{(\w+)_id}", path)[1]
        return 404, kind
    return None


def list_routes(installation) -> list[tuple[str, str]]:
    paths = installation.http.get("/v1/openapi.json").json()["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if not path.startswith("/v1/runs/")  # for a run's own programs, see their tests
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("role", ROLES)
def test_every_route_lets_in_whom_it_should_and_nobody_else(installation, role) -> None:
    routes = list_routes(installation)
    assert len(routes) > 30
    world = make_world(installation)
    for method, path in routes:
        refusal = expected(role, method, path)
        if refusal is None and method != "GET":
            world = make_world(installation)  # it may be the end of what it is about
        answer = world.ask(role, method, path)
        if refusal is None:
            done = answer.status_code < 300 or answer.json()["code"] in NOT_NOW
            assert done, f"{role}: {method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == refusal[0], f"{role}: {method} {path}: {answer.text}"
            code = answer.json()["code"]
            assert code.startswith(refusal[1])
            expect(answer, answer.status_code, code)
