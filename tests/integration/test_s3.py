"""What holders of signed URLs can do with a real S3 server, and what they cannot."""

import asyncio
import hashlib
import random
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
import pytest
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from autodl.errors import PlatformError, UsageError
from client import AsyncClient, Client
from service.storage import Part, Storage, Upkeep, open_storage
from service.storage.__main__ import main as prepare
from tests.integration.serving import BreakingLink, Server

PART_BYTES = 5 * 1024 * 1024
DATA = b"the only part"
PART = Part(1, len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def storage(s3) -> Storage:
    return open_storage(s3.create())


@pytest.fixture
def multipart(storage):
    return storage.create_multipart("uploads/x/bundle.zip", len(DATA), PART_BYTES)


def put(signed, data: bytes = DATA, **headers: str) -> int:
    wanted = signed.headers | headers
    return httpx2.put(signed.url, content=data, headers=wanted).status_code


def without(url: str, name: str) -> str:
    parts = urlsplit(url)
    kept = [(key, value) for key, value in parse_qsl(parts.query) if key != name]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def test_a_part_goes_straight_to_the_store(storage, multipart) -> None:
    signed = storage.sign_part(multipart, PART, 60)
    assert put(signed) == 200
    storage.complete_multipart(multipart, storage.list_parts(multipart))
    assert httpx2.get(storage.url("uploads/x/bundle.zip")).content == DATA


def test_any_other_bytes_are_refused(storage, multipart) -> None:
    signed = storage.sign_part(multipart, PART, 60)
    assert put(signed, b"another part!") == 400
    assert put(signed, DATA + b" and more") == 403
    assert put(signed, DATA[:-1]) == 403
    other = {"x-amz-checksum-sha256": "AAAA"}
    assert put(signed, **other) in (400, 403)
    assert storage.list_parts(multipart) == []


def test_a_url_opens_what_it_was_made_for_and_no_more(storage, multipart) -> None:
    storage.put("runs/1/labels.txt", [b"secret"])
    signed = storage.sign_part(multipart, PART, 60)
    assert httpx2.get(signed.url, headers=signed.headers).status_code == 403
    second = signed.url.replace("partNumber=1", "partNumber=2")
    assert httpx2.put(second, content=DATA, headers=signed.headers).status_code == 403
    url = storage.url("uploads/x/bundle.zip")
    assert httpx2.get(url.replace("uploads/x/bundle.zip", "runs/1/labels.txt")).status_code == 403
    anonymous = urlunsplit(urlsplit(storage.url("runs/1/labels.txt"))._replace(query=""))
    assert httpx2.get(anonymous).status_code == 403
    assert httpx2.get(without(storage.url("runs/1/labels.txt"), "X-Amz-Signature")).is_error


def test_an_expired_url_opens_nothing(storage, multipart) -> None:
    signed = storage.sign_part(multipart, PART, 1)
    aged = signed.url.replace("X-Amz-Expires=1", "X-Amz-Expires=0")
    assert put(signed.__class__(aged, signed.headers)) in (400, 403)
    assert storage.list_parts(multipart) == []


async def upload_with_async_client(url: str, token: str, bundle: Path) -> str:
    async with AsyncClient(url, token) as client:
        return await client.upload(bundle)


def upload_with_client(url: str, token: str, bundle: Path) -> str:
    with Client(url, token) as client:
        return client.upload(bundle)


@pytest.mark.parametrize("upload", [upload_with_client, upload_with_async_client])
def test_clients_send_parts_straight_to_the_store(s3, tmp_path, upload) -> None:
    server = Server(tmp_path / "data", storage=s3.create())
    server.start()
    link = BreakingLink(server.port, cut_after_bytes=1 << 40, cuts=0)  # which only counts
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(random.Random(0).randbytes(2 * 16 * 1024**2 + 1))
    token = (server.data / "token").read_text().strip()
    upload_id = upload(link.url, token, bundle)
    if asyncio.iscoroutine(upload_id):
        upload_id = asyncio.run(upload_id)
    with server.client() as http:
        view = http.get(f"/v1/uploads/{upload_id}").json()
    assert (view["state"], view["parts_total"]) == ("complete", 3)
    assert view["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert 0 < link.sent_bytes < 100_000
    link.close()
    server.kill()


def test_the_bucket_is_made_once(s3) -> None:
    url = s3.create().replace("autodl-tests", "autodl-new")
    storage = open_storage(url)
    storage.prepare()
    storage.prepare()
    storage.put("a", [b"x"])
    assert storage.read("a") == b"x"


def test_the_bucket_gets_our_rules_beside_its_own(s3, monkeypatch) -> None:
    url = s3.create()
    storage = open_storage(url)
    prefix = urlsplit(url).path.strip("/") + "/"
    where = {"Bucket": storage.bucket}
    theirs = {"ID": "theirs", "Status": "Enabled", "Expiration": {"Days": 30}}
    rules = {"Rules": [theirs | {"Filter": {"Prefix": "logs/"}}]}
    s3.client.put_bucket_lifecycle_configuration(**where, LifecycleConfiguration=rules)
    monkeypatch.setenv("AUTODL_STORAGE", url)
    monkeypatch.setenv("AUTODL_PUBLIC_URL", "https://autodl.example.org/lab/")
    for days in (2, 20):  # again, with another setting
        monkeypatch.setenv("AUTODL_KEEP_UPLOAD_SECONDS", str(days * 86400))
        prepare()
    found = s3.client.get_bucket_lifecycle_configuration(**where)["Rules"]
    kept, ours = sorted(found, key=lambda rule: rule["ID"] != "theirs")
    assert kept["Expiration"] == {"Days": 30}
    assert ours["Filter"] == {"Prefix": prefix}
    assert ours["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 21}
    (cors,) = s3.client.get_bucket_cors(**where)["CORSRules"]
    assert cors["AllowedOrigins"] == ["https://autodl.example.org"]
    assert cors["AllowedMethods"] == ["PUT"]
    s3.client.delete_bucket_lifecycle(**where)
    s3.client.delete_bucket_cors(**where)


def test_a_store_without_rules_is_no_failure(s3, monkeypatch) -> None:
    def refuse(**_options) -> None:
        raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutBucketLifecycleConfiguration")

    storage = open_storage(s3.create())
    monkeypatch.setattr(storage.client, "put_bucket_lifecycle_configuration", refuse)
    with capture_logs() as lines:
        storage.prepare(Upkeep(3600))
    assert [line["reason"] for line in lines] == ["NotImplemented"]


def test_objects_can_be_encrypted_at_rest(s3) -> None:
    url = s3.create()
    storage = open_storage(f"{url}&encryption=AES256")
    storage.put("a", [b"content"])
    assert storage.read("a") == b"content"
    bucket, prefix = storage.bucket, urlsplit(url).path.strip("/")
    head = s3.client.head_object(Bucket=bucket, Key=f"{prefix}/a")
    assert head["ServerSideEncryption"] == "AES256"


def test_a_store_that_cannot_be_reached_is_our_fault() -> None:
    storage = open_storage("s3://k:s@bucket?endpoint=http://127.0.0.1:9&region=us-east-1")
    for act in (lambda: storage.read("a"), lambda: storage.put("a", [b"x"])):
        with pytest.raises(PlatformError) as caught:
            act()
        assert caught.value.code == "storage-unavailable"


def test_a_wrong_key_is_our_fault(s3) -> None:
    storage = open_storage(s3.create().replace("test-key", "other-key"))
    with pytest.raises(PlatformError) as caught:
        storage.read("a")
    assert caught.value.code == "storage-unavailable"


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://bucket?colour=red"])
def test_a_url_that_names_no_store_is_refused(url) -> None:
    with pytest.raises(UsageError) as caught:
        open_storage(url)
    assert caught.value.code == "storage-url-unknown"
