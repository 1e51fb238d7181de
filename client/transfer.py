"""Files to and from the service, whole and verified, however often the way is cut."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, TypeVar

import httpx2

from autodl.errors import UsageError
from client.core import (
    ATTEMPTS,
    Close,
    Flow,
    Next,
    Open,
    Pause,
    Send,
    Together,
    Work,
    ask,
    check,
    growing_pause,
    make_key,
    submission_path,
    unreachable,
)
from client.errors import RefusedError, ServiceError, TransientError
from client.records import Submission

WHOLE_BYTES = 8 * 1024 * 1024  # up to here one request is simpler, and its loss no matter
PARALLEL = 4  # parts on their way at once
CUTS = (
    20  # in a row, before an upload is given up: a minute's patience with a service that restarts
)

T = TypeVar("T")


class SubmitOptions(TypedDict, total=False):
    """What may be said of a submission beside its name, budget and solution."""

    label: str  #: of raw data in a table: the label column, or several 0/1 columns as ``a,b,c``
    separator: str  #: of raw data: what stands between several labels in one cell
    test: float  #: of raw data that are not split: the share of the test part
    review: bool  #: hold it when its data are checked, until ``start``
    notify: bool  #: send a mail at its end; without it, as the account has it


Progress = Callable[[int, int], None]  # bytes sent, bytes in all


def submit(bundle: Path, fields: dict[str, Any], on_progress: Progress | None) -> Flow[Submission]:
    """Upload a file and ask for a run, in parts where it is large.

    The request carries an Idempotency-Key, so that an answer that is lost makes no second one.
    """
    require_file(bundle)
    tell = on_progress or (lambda sent, total: None)
    size = bundle.stat().st_size
    digest = yield Work(lambda: sha256(bundle))
    fields = {key: value for key, value in fields.items() if value is not None}
    headers = make_key()
    upload_id = None
    if size > WHOLE_BYTES:
        upload_id = yield from _upload(bundle, size, digest, tell)
    if upload_id is not None:
        wanted = fields | {"upload_id": upload_id}
        request = Send("POST", "/v1/submissions", headers=headers, json=wanted)
        return Submission.from_json((yield from ask(request)).json())
    with bundle.open("rb") as file:
        watched = _Watched(file, tell)
        texts = {key: str(value) for key, value in fields.items()} | {"sha256": digest}
        part = (bundle.name, watched, "application/zip")
        request = Send(
            "POST",
            "/v1/submissions",
            headers=headers,
            form=lambda: {"data": texts, "files": {"file": watched.rewound(part)}},
        )
        return Submission.from_json((yield from ask(request)).json())


def upload(bundle: Path, on_progress: Progress | None) -> Flow[str]:
    """Send a bundle in parts; its id, for a submission.

    What a service has of it already is not sent again: an upload that was broken off, by the end of
    this process too, goes on where it was.
    """
    require_file(bundle)
    digest = yield Work(lambda: sha256(bundle))
    tell = on_progress or (lambda sent, total: None)
    upload_id = yield from _upload(bundle, bundle.stat().st_size, digest, tell)
    if upload_id is None:
        raise RefusedError(
            "uploads-unknown", "The service takes no uploads in parts.", hint="Use `submit`."
        )
    return upload_id


def _upload(bundle: Path, size: int, digest: str, tell: Progress) -> Flow[str | None]:
    """The id of the complete upload; ``None`` where the service has no uploads in parts.

    The service knows by the file's digest what has arrived of it, so nothing is remembered here.
    """
    wanted = {"name": bundle.name, "size_bytes": size, "sha256": digest}
    try:
        begun = Send("POST", "/v1/uploads", json=wanted, headers=make_key())
        view = (yield from ask(begun)).json()
    except RefusedError as error:
        if error.code in ("resource-not-found", "method-not-allowed", "service-answer-unknown"):
            return None
        raise
    own = f"/v1/uploads/{view['id']}"
    if view["state"] != "complete":
        counter = _Counter(size, tell)
        for part in view["parts"]:
            counter.add(part["size_bytes"])
        there = {part["number"] for part in view["parts"]}
        missing = [n for n in range(1, view["parts_total"] + 1) if n not in there]
        flows = [_send_part(bundle, own, n, view["part_bytes"], counter) for n in missing]
        try:
            yield Together(flows, PARALLEL)
            yield from ask(Send("POST", f"{own}/complete", harmless=True), CUTS)
        except RefusedError as error:
            if error.code != "upload-ended":  # else another sent the same meanwhile, and was faster
                raise
    tell(size, size)
    return str(view["id"])


def _send_part(
    bundle: Path, own: str, number: int, part_bytes: int, counter: _Counter
) -> Flow[None]:
    """One part, as often as it takes: its address is good for one part and for some time."""
    content = yield Work(lambda: _read_part(bundle, (number - 1) * part_bytes, part_bytes))
    wanted = {"parts": [{"number": number, "sha256": hashlib.sha256(content).hexdigest()}]}
    asked = Send("POST", f"{own}/parts", json=wanted, harmless=True)
    for cut in range(1, CUTS + 1):
        (part,) = (yield from ask(asked, CUTS)).json()["parts"]
        try:
            put = Send("PUT", part["url"], headers=part["headers"], content=content, signed=True)
            yield from ask(put, attempts=1)
        except ServiceError as error:
            passes = error.code == "part-url-expired" or isinstance(error, TransientError)
            if cut == CUTS or not passes:
                raise
            yield Pause(growing_pause(cut))
        else:
            counter.add(len(content))
            return


def download(submission_id: str, path: str, target: Path) -> Flow[Path]:
    """One file of the results, resumed when cut, by the end of this process too, and verified."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.part")
    mark = target.with_name(f".{target.name}.etag")
    address = submission_path(submission_id, "files", *path.split("/"))
    digest = yield from _fetch(address, aside, mark)
    value = yield Work(lambda: sha256(aside))
    mark.unlink(missing_ok=True)
    if digest and digest != format_digest(value):
        aside.unlink()
        raise TransientError("digest-mismatch", f"{path} was changed on its way: try again.")
    aside.replace(target)
    return target


def _fetch(address: str, aside: Path, mark: Path) -> Flow[str | None]:
    """Fetch the whole file, in as many pieces as it takes; its ``Repr-Digest``."""
    failures = 0
    while True:
        size = aside.stat().st_size if aside.exists() else 0
        etag = mark.read_text(encoding="ascii") if size and mark.exists() else ""
        headers = {"Accept-Encoding": "identity"}
        if etag:
            headers |= {"Range": f"bytes={size}-", "If-Range": etag}
        try:
            answer = yield Open(address, headers)
            if answer.status_code == 416:  # nothing was left to fetch, or it is another file
                aside.unlink(missing_ok=True)
                raise httpx2.ReadError("The file has no such range.")
            check(answer)
            mark.write_text(answer.headers.get("etag", ""), encoding="ascii")
            with aside.open("ab" if answer.status_code == 206 else "wb") as file:
                while (chunk := (yield Next())) is not None:
                    file.write(chunk)
            yield Close()
            return _find_digest(answer)
        except (httpx2.TransportError, TransientError) as error:
            yield Close()
            reached = aside.stat().st_size if aside.exists() else 0
            failures = 1 if reached > size else failures + 1
            if failures == ATTEMPTS:
                raise error if isinstance(error, ServiceError) else unreachable(error) from error
        yield Pause(growing_pause(failures))


def _find_digest(answer: httpx2.Response) -> str | None:
    """What the service says of the file, though it may have sent us on to its store."""
    for said in (answer, *answer.history):
        if "repr-digest" in said.headers:
            digest: str = said.headers["repr-digest"]
            return digest
    return None


def require_file(bundle: Path) -> None:
    """``UsageError`` (``path-missing``) where there is no such file."""
    if not bundle.is_file():
        raise UsageError(
            "path-missing",
            "There is no such file.",
            hint="Give a bundle's zip; `autodl format` makes one.",
            file=str(bundle),
        )


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def format_digest(value: str) -> str:
    """A hexadecimal SHA-256 as the value of a field of RFC 9530."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(value)).decode()}:"


def _read_part(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


class _Counter:
    """Tells how much has arrived; parts arrive from several threads."""

    def __init__(self, total: int, tell: Progress) -> None:
        self._total, self._tell = total, tell
        self._sent = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._sent += count
            self._tell(self._sent, self._total)


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, tell: Progress) -> None:
        self._file = file
        self._total = os.fstat(file.fileno()).st_size
        self._tell = tell

    def rewound(self, part: T) -> T:
        self._file.seek(0)
        return part

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._tell(self._file.tell(), self._total)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def fileno(self) -> int:
        return self._file.fileno()
