"""Who submits: each asks again until it is answered, as the command line does."""

from __future__ import annotations

import random
import shutil
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from autodl.golden import write_golden
from tests.chaos.installation import Installation

PATIENCE_SECONDS = 300.0
PAUSE_SECONDS = 0.3
BUDGET_SECONDS = 1.0
# What is asked for, how often, and what becomes of it where no fault meets it.
KINDS = {
    "good data": (40, "succeeded"),
    "a solution that raises": (12, "failed"),
    "a solution that ignores its end": (3, "succeeded"),
    "no zip": (35, "rejected"),
    "canceled at some time": (10, "canceled"),
}
SOLUTIONS = {
    "a solution that raises": "raises",
    "a solution that ignores its end": "ignores_term",
}


@dataclass(frozen=True)
class Asked:
    """An acknowledged submission."""

    id: str
    kind: str


class People:
    """Keep so many submissions waiting or at work, until there are enough of them."""

    def __init__(self, installation: Installation, bundle: bytes, seed: int) -> None:
        self.asked: list[Asked] = []
        self.unanswered: Counter[str] = Counter()  # requests that failed, and were sent again
        self._installation = installation
        self._bundle = bundle
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        token = (installation.data / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=installation.url, headers=headers, timeout=30)

    def submit(self, count: int) -> None:
        """So many at once."""
        names = list(KINDS)
        kinds = self._chance.choices(names, [KINDS[name][0] for name in names], k=count)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._submit, kinds))

    def count_open(self) -> int | None:
        """How many are not at their end; None while nobody answers."""
        states = ("validating", "queued", "running", "scoring")
        with suppress(httpx2.HTTPError):
            answer = self._http.get("/v1/submissions", params={"state": states, "limit": 100})
            if answer.is_success:
                return len(answer.json()["items"])
        return None

    def wait_for_all(self, seconds: float) -> bool:
        """Whether everything has come to its end by then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.count_open() == 0:
                return True
            time.sleep(PAUSE_SECONDS)
        return False

    def _submit(self, kind: str) -> None:
        content = b"no zip at all" if kind == "no zip" else self._bundle
        fields = {"budget_seconds": str(BUDGET_SECONDS)}
        fields["solution"] = SOLUTIONS.get(kind, "constant")
        answer = self._ask(
            "/v1/submissions",
            {"Idempotency-Key": str(uuid.uuid4())},
            files={"file": ("toy.zip", content)},
            data=fields,
        )
        asked = Asked(answer.json()["id"], kind)
        with self._lock:
            self.asked.append(asked)
        if kind == "canceled at some time":
            time.sleep(self._chance.uniform(0, 10))
            self._ask(f"/v1/submissions/{asked.id}/cancel", {}, tolerated=409)

    def _ask(
        self, path: str, headers: dict[str, str], *, tolerated: int = 0, **content: Any
    ) -> httpx2.Response:
        """The same request until it is answered; raises for one that is refused."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._http.post(path, headers=headers, **content)
            except httpx2.HTTPError as error:
                why = type(error).__name__
            else:
                if answer.is_success or answer.status_code == tolerated:
                    return answer
                why = str(answer.json().get("code", answer.status_code))
                assert answer.status_code >= 500, answer.text
            with self._lock:
                self.unanswered[why] += 1
            time.sleep(PAUSE_SECONDS)
        raise TimeoutError(f"no answer for {PATIENCE_SECONDS:g} s, at last: {why}")


def make_bundle(folder: Path) -> bytes:
    """A small table, as a zip."""
    write_golden("tabular", folder / "bundle")
    return Path(shutil.make_archive(str(folder / "bundle"), "zip", folder / "bundle")).read_bytes()
