from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from infra.s3_settings import S3Settings, open_session, read_settings

CONFIG = """
[profile lab]
region = eu-north-1
endpoint_url = https://all.lab
services = lab-services
max_attempts = 3
ca_bundle = /etc/lab.pem
s3 =
  addressing_style = virtual

[profile plain]
endpoint_url = http://plain.lab:9000

[profile odd]
s3 =
  addressing_style = sideways

[services lab-services]
s3 =
  endpoint_url = https://s3.lab
"""


@pytest.fixture
def settings(
    use_server: Callable[[dict[str, str]], None], tmp_path: Path
) -> Callable[..., S3Settings]:
    """Return what reads the settings of a machine with these variables."""
    config = tmp_path / "config"
    config.write_text(CONFIG)

    def read(**environment: str) -> S3Settings:
        use_server({"AWS_CONFIG_FILE": str(config), **environment})
        return read_settings(open_session())

    return read


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AWS_ENDPOINT_URL": "http://a:1"}, "http://a:1"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_PROFILE": "lab"}, "http://a:1"),
        (
            {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"},
            "http://b:2",
        ),
        ({"AWS_PROFILE": "lab"}, "https://s3.lab"),
        ({"AWS_PROFILE": "plain"}, "http://plain.lab:9000"),
        (
            {"AWS_PROFILE": "lab", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            None,
        ),
    ],
)
def test_the_endpoint_is_the_one_every_aws_client_would_take(
    settings: Callable[..., S3Settings],
    environment: dict[str, str],
    expected: str | None,
) -> None:
    from botocore.session import Session

    assert settings(**environment).endpoint_url == expected

    theirs = Session().create_client("s3", region_name="eu-north-1")
    amazons = "https://s3.eu-north-1.amazonaws.com"
    assert theirs.meta.endpoint_url == (expected or amazons)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-3"}, "eu-west-3"),
        ({"AWS_PROFILE": "lab"}, "eu-north-1"),
        ({"AWS_PROFILE": "lab", "AWS_REGION": "eu-west-3"}, "eu-west-3"),
        ({"AWS_ENDPOINT_URL": "http://a:1"}, "us-east-1"),
    ],
)
def test_the_region_is_said_or_follows_from_the_endpoint(
    settings: Callable[..., S3Settings],
    environment: dict[str, str],
    expected: str | None,
) -> None:
    assert settings(**environment).region == expected


def test_a_profile_decides_style_attempts_and_certificates(
    settings: Callable[..., S3Settings],
) -> None:
    profile = settings(AWS_PROFILE="lab")
    assert profile.addressing_style == "virtual"
    assert (profile.attempts, profile.ca_bundle) == (3, "/etc/lab.pem")

    default = settings()
    assert default.addressing_style == "auto"
    assert (default.attempts, default.ca_bundle) == (8, None)

    both = settings(AWS_PROFILE="lab", AWS_MAX_ATTEMPTS="5", AWS_CA_BUNDLE="/b.pem")
    assert (both.attempts, both.ca_bundle) == (5, "/b.pem")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "needs to be http://HOST:PORT"),
        ({"AWS_ENDPOINT_URL": "http://"}, "needs to be http://HOST:PORT"),
        ({"AWS_ENDPOINT_URL": "http://me:hidden@a:1"}, "without a user in it"),
        ({"AWS_PROFILE": "odd"}, "auto, path, virtual; .* has 'sideways'"),
        ({"AWS_MAX_ATTEMPTS": "0"}, "whole number of at least 1"),
        ({"AWS_MAX_ATTEMPTS": "many"}, "whole number of at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    settings: Callable[..., S3Settings], environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        settings(**environment)
    assert "hidden" not in str(refused.value)


def test_settings_hold_no_credentials(settings: Callable[..., S3Settings]) -> None:
    read = settings(AWS_ACCESS_KEY_ID="my-key", AWS_SECRET_ACCESS_KEY="my-secret")
    values = [getattr(read, one.name) for one in fields(read)]
    assert not {"my-key", "my-secret"} & set(map(str, values))
