"""The clients of the object store: s3fs and pyarrow, built from the same settings."""

import os
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from infra.s3_errors import no_such_bucket
from infra.s3_settings import S3Settings, open_session, read_settings

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session
    from pyarrow.fs import S3FileSystem

_CONNECTIONS = 64
_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class S3Clients:
    """What one process uses to reach the store, as its environment says."""

    settings: S3Settings
    """What all of them are built from."""

    files: Any
    """``s3fs.S3FileSystem``, for whole objects, parts and lists; has no types."""

    _session: "Session"

    _regions: dict[str, str | None] = field(default_factory=dict)

    def arrow(self, bucket: str) -> "S3FileSystem":
        """Return pyarrow's client for a bucket, with the credentials valid now.

        Raises:
            BotoCoreError: there are no credentials.
            ValueError: the bucket is not there.
        OSError: it may not be seen, or no server answers.
        """
        from botocore.exceptions import NoCredentialsError

        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        return _arrow(self.settings, self._region(bucket), frozen)

    def _region(self, bucket: str) -> str | None:
        """Return where a bucket is; s3fs is sent there, pyarrow has to know."""
        if bucket not in self._regions:
            try:
                head = self.files.call_s3("head_bucket", Bucket=bucket)
            except FileNotFoundError as error:
                raise no_such_bucket(f"s3://{bucket}") from error
            self._regions[bucket] = head.get("BucketRegion") or self.settings.region
        return self._regions[bucket]


def s3_clients() -> S3Clients:
    """Return the clients of this process; made anew when its environment changes.

    Raises:
        ValueError: a setting cannot be used.
        BotoCoreError: the AWS configuration is broken.
    """
    with _LOCK:
        return _clients(_environment())


def _environment() -> tuple[object, ...]:
    """Return all that decides about clients; a fork may not use its parent's."""
    aws = ((name, os.environ[name]) for name in os.environ if name.startswith("AWS_"))
    return (os.getpid(), *sorted(aws))


@lru_cache(maxsize=4)
def _clients(_environment: tuple[object, ...]) -> S3Clients:
    # Deferred: it takes a while, and a run on local folders needs none of it.
    import s3fs

    session = open_session()
    settings = read_settings(session)
    files = s3fs.S3FileSystem(
        endpoint_url=settings.endpoint_url,
        client_kwargs={"region_name": settings.region} if settings.region else {},
        config_kwargs={
            # The one place where requests are repeated, with pauses that double.
            "retries": {"mode": "standard", "total_max_attempts": settings.attempts},
            "s3": {"addressing_style": settings.addressing_style},
            "connect_timeout": settings.connect_seconds,
            "read_timeout": settings.read_seconds,
            "max_pool_connections": _CONNECTIONS,
        },
        use_listings_cache=False,
        skip_instance_cache=True,  # or there would be one for every thread
    )
    files.retries = 1  # its own repetitions would multiply those above
    return S3Clients(settings, files, session)


@lru_cache(maxsize=4)
def _arrow(
    settings: S3Settings, region: str | None, credentials: "ReadOnlyCredentials"
) -> "S3FileSystem":
    # Deferred: its library for S3 takes a while.
    from pyarrow import fs

    scheme, _, host = (settings.endpoint_url or "https://").partition("://")
    return fs.S3FileSystem(
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        session_token=credentials.token,
        region=region,
        scheme=scheme,
        endpoint_override=host.rstrip("/") or None,
        force_virtual_addressing=settings.addressing_style == "virtual",
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=settings.attempts),
        connect_timeout=settings.connect_seconds,
        request_timeout=settings.read_seconds,
        tls_ca_file_path=settings.ca_bundle,
    )
