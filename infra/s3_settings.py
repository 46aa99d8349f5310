"""How this process reaches its object store: one reading of the usual AWS settings."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.session import Session

ATTEMPTS = 8
"""Times a request is made before it fails, if ``AWS_MAX_ATTEMPTS`` says nothing."""

_STYLES = ("auto", "path", "virtual")
_REGION_OF_OTHERS = "us-east-1"


@dataclass(frozen=True)
class S3Settings:
    """What every client of the store is built from; holds no credentials."""

    endpoint_url: str | None
    """Address of the server; ``None`` for Amazon's own."""

    region: str | None
    """Region that signs requests; ``None`` leaves it to the bucket."""

    addressing_style: Literal["auto", "path", "virtual"]
    """Whether the bucket stands in the path or in the host name; ``auto`` means the
    path at any endpoint but Amazon's own."""

    attempts: int
    """Times a request is made before it fails, at least 1."""

    ca_bundle: str | None
    """File of certificates that are trusted; ``None`` for the system's."""

    connect_seconds: float = 10.0
    """Longest wait for a connection."""

    read_seconds: float = 30.0
    """Longest wait for the next bytes of an answer."""


def open_session() -> "Session":
    """Return the AWS session of this process: its profile and its credentials.

    Raises:
        BotoCoreError: the configuration names a profile that is not there.
    """
    # Deferred: a run on local folders needs none of it.
    from botocore.session import Session

    return Session()


def read_settings(session: "Session") -> S3Settings:
    """Return the settings of the environment and of the AWS configuration file.

    Args:
        session: what :func:`open_session` returned.

    Raises:
        ValueError: a value is none that can be used.
        BotoCoreError: the configuration file is broken.
    """
    profile = session.get_scoped_config()
    endpoint = _endpoint(session, profile)
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    style = _section(profile, "s3").get("addressing_style", "auto")
    if style not in _STYLES:
        raise ValueError(
            f"s3.addressing_style needs to be one of {', '.join(_STYLES)}; the AWS "
            f"configuration file has {style!r}. Set one of these in the profile."
        )
    return S3Settings(
        endpoint_url=endpoint,
        region=region or (_REGION_OF_OTHERS if endpoint else None),
        addressing_style=style,
        attempts=_attempts(session),
        ca_bundle=session.get_config_variable("ca_bundle"),
    )


def _endpoint(session: "Session", profile: dict[str, Any]) -> str | None:
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    services = _section(session.full_config, "services")
    service = _section(_section(services, profile.get("services")), "s3")
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or service.get("endpoint_url")
        or profile.get("endpoint_url")
    )
    if not endpoint:
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError(
            "AWS_ENDPOINT_URL needs to be http://HOST:PORT or https://HOST without a "
            "user in it; it is something else. Set it anew, and put credentials into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return endpoint


def _attempts(session: "Session") -> int:
    try:
        asked = session.get_config_variable("max_attempts")
    except ValueError:
        asked = 0
    attempts = ATTEMPTS if asked is None else asked
    if attempts < 1:
        raise ValueError(
            "AWS_MAX_ATTEMPTS needs to be a whole number of at least 1; the "
            f"environment or the AWS configuration file has another. Set it to "
            f"{ATTEMPTS}, or leave it out."
        )
    return attempts


def _section(config: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return a section of a configuration file, empty where there is none."""
    found = config.get(name or "")
    return found if isinstance(found, dict) else {}
