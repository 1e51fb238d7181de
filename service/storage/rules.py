"""What a bucket does by itself: end what nobody completes, and let our pages send parts.

An installation's rules have an ID of their own, so that what else the bucket has is kept. Written
to Amazon's API reference (2006-03-01): PutBucketLifecycleConfiguration, PutBucketCors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from service import log
from service.storage.base import Upkeep

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DAY_SECONDS = 86400.0
LEAST_DAYS = 7  # the service removes them itself; this is a second net
ABSENT = frozenset({"NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration"})
HEADERS = ["content-type", "x-amz-checksum-sha256"]  # of a part


def set_rules(client: S3Client, bucket: str, prefix: str, upkeep: Upkeep) -> None:
    """Set our rules, or renew them; a store that has none is told of in the log."""
    own = f"autodl/{prefix}"
    days = max(LEAST_DAYS, math.ceil(upkeep.upload_seconds / DAY_SECONDS) + 1)
    _renew(
        "Rules",
        {
            "ID": own,
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
        },
        read=lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket),
        write=lambda rules: client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        ),
    )
    if upkeep.origin:
        _renew(
            "CORSRules",
            {
                "ID": own,
                "AllowedMethods": ["PUT"],
                "AllowedOrigins": [upkeep.origin],
                "AllowedHeaders": HEADERS,
            },
            read=lambda: client.get_bucket_cors(Bucket=bucket),
            write=lambda rules: client.put_bucket_cors(
                Bucket=bucket, CORSConfiguration={"CORSRules": rules}
            ),
        )


def _renew(
    kind: str, rule: Any, *, read: Callable[[], Any], write: Callable[[list[Any]], object]
) -> None:
    """Put the rule in the place of the one of its ID, beside all others."""
    try:
        try:
            known = read()[kind]
        except ClientError as error:
            if error.response["Error"]["Code"] not in ABSENT:
                raise
            known = []
        write([*(other for other in known if other.get("ID") != rule["ID"]), rule])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        log.get_logger().warning("storage.rules_refused", rules=kind, reason=code)
