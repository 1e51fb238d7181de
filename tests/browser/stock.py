"""Submissions in every state, with names, labels and texts that mean harm."""

from __future__ import annotations

import csv
import io
import random
import time
from typing import TYPE_CHECKING

from service.submissions.service import ENDED

if TYPE_CHECKING:
    from tests.browser.conftest import Site

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></textarea></svg><svg onload=alert(1)>",
    "{{ 7*191 }} ${7*191} %(name)s %s {name}",
    "javascript:alert(1) &lt;b&gt; `<i>` \N{RIGHT-TO-LEFT OVERRIDE}喵",
)
HOSTILE_NAME = f"{HOSTILE[0]} {HOSTILE[1]}"
#: what a page shows, and its address
PAGES = {
    "start": "/",
    "new submission": "/new",
    "submissions": "/submissions",
    "compare": "/compare?id={done}&id={running}",
    "done": "/submissions/{done}",
    "its data": "/submissions/{done}/data",
    "its predictions": "/submissions/{done}/predictions",
    "its report": "/submissions/{done}/report",
    "running": "/submissions/{running}",
    "many classes": "/submissions/{many}",
    "failed": "/submissions/{failed}",
    "rejected": "/submissions/{rejected}",
    "leaderboard": "/leaderboard",
    "account": "/account",
    "administration": "/admin",
    "error codes": "/errors",
    "nothing": "/nothing",
    "login": "/login",
    "sign up": "/sign-up",
    "verify": "/verify?code=x",
    "reset": "/reset",
    "new password": "/reset?code=x",
}
ROWS = 120
CLASSES, ITEMS = 100, 6000  # of the table of very many classes
PATIENCE_SECONDS = 90
#: a solution that says harmful things and fails
FAILING = f"""
class Model:
    def __init__(self, metadata):
        print({" ".join(HOSTILE)!r}, flush=True)

    def train(self, dataset, remaining_time_budget=None):
        raise ValueError({HOSTILE_NAME!r})

    def test(self, dataset, remaining_time_budget=None): ...
"""
#: one that takes everything for anything
GUESSING = """
import numpy as np


class Model:
    def __init__(self, metadata):
        self.classes = metadata.get_output_size()

    def train(self, dataset, remaining_time_budget=None):
        self.done_training = True

    def test(self, dataset, remaining_time_budget=None):
        return np.random.default_rng(0).random((len(dataset), self.classes))
"""


def make_table() -> bytes:
    """Texts of five classes, as a CSV to be formatted; some of them twice."""
    numbers = random.Random(0)
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["text", "label"])
    for row in range(ROWS):
        label = numbers.choice(HOSTILE)
        words = " ".join(numbers.choices(["red", "blue", "tall", "small", label], k=12))
        table.writerow([words if row % 20 else HOSTILE_NAME, label])
    return file.getvalue().encode()


def make_wide_table() -> bytes:
    """Numbers of a hundred classes."""
    numbers = random.Random(0)
    rows = (f"{numbers.random():.6f},class number {row % CLASSES}" for row in range(ITEMS))
    return "\n".join(["size,label", *rows, ""]).encode()


def submit(site: Site, content: bytes, filename: str = "data.csv", **fields: str) -> str:
    """The id of a new submission."""
    fields = {"name": HOSTILE_NAME, "budget_seconds": "20", "solution": "constant"} | fields
    answer = site.http.post("/v1/submissions", files={"file": (filename, content)}, data=fields)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_for(site: Site, submission_id: str, *states: str) -> str:
    """The state in which it is, which is one of those or an end."""
    wanted = {*states, *(state.value for state in ENDED)}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = site.http.get(f"/v1/submissions/{submission_id}").json()
        if found["state"] in wanted:
            return str(found["state"])
        time.sleep(0.1)
    raise TimeoutError(f"{submission_id} is {found['state']}: {found['status_reason']}")


def make_stock(site: Site) -> dict[str, str]:
    """Pages by what they are."""
    table = make_table()
    done = submit(site, table)
    failed = submit(site, table, solution="failing")
    many = submit(site, make_wide_table(), solution="guessing", name="many classes")
    rejected = submit(site, b"PK not a zip", f"{HOSTILE_NAME}.zip")
    assert wait_for(site, done) == "succeeded"
    assert wait_for(site, failed) == "failed"
    assert wait_for(site, many) == "succeeded"
    assert wait_for(site, rejected) == "rejected"
    running = submit(site, table, solution="steady", budget_seconds="600")
    assert wait_for(site, running, "running") == "running"
    names = {"dataset": (None, HOSTILE_NAME), "author": (None, HOSTILE[2])}
    published = site.http.post(f"/submissions/{done}/publish", files=names)
    assert published.status_code == 303, published.text
    token = {"name": HOSTILE_NAME, "scopes": ["read"]}
    site.http.post("/v1/account/tokens", json=token).raise_for_status()
    ids = {"done": done, "failed": failed, "many": many, "rejected": rejected, "running": running}
    return {name: path.format(**ids) for name, path in PAGES.items()}
