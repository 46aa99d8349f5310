"""What an object store or its client refuses, told so that a person can mend it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONFLICT, _PRECONDITION_FAILED, _RANGE_NOT_SATISFIABLE = 409, 412, 416


@contextmanager
def told(url: str) -> Iterator[None]:
    """Tell what is refused inside the body as an error that names the place.

    Args:
        url: place that the body reads or writes.

    Raises:
        FileNotFoundError: there is no such name.
        PermissionError: credentials are missing, or may not do it.
        ConnectionError: the server does not answer.
        ValueError: there is no such bucket, or the name or a setting cannot be.
        OSError: the server fails.
    """
    # Deferred like the clients, which raise them.
    from aiohttp import ClientError as HttpError
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (OSError, BotoCoreError, HttpError) as error:
        raise _in_words(error, url) from error


def cut_off_errors() -> tuple[type[Exception], ...]:
    """Return what clients raise if an answer breaks off, which they never repeat."""
    from aiobotocore.response import AioReadTimeoutError
    from aiohttp import ClientPayloadError
    from botocore.exceptions import IncompleteReadError, ResponseStreamingError

    cut_off = AioReadTimeoutError, IncompleteReadError, ResponseStreamingError
    return ClientPayloadError, *cut_off


def no_such_bucket(url: str) -> ValueError:
    """Return what to raise where a bucket is not there.

    Args:
        url: place in the bucket.
    """
    return ValueError(
        f"A place in an object store needs a bucket that is there; {url} has none of "
        f"that name. Make the bucket, or name another."
    )


def is_past_end(error: OSError) -> bool:
    """Return whether a part was refused because the content ends before it begins.

    Args:
        error: what the client raised.
    """
    return _status(error) == _RANGE_NOT_SATISFIABLE


def may_be_taken(error: OSError) -> bool:
    """Return whether a refused creation may mean that the name is taken.

    Servers and clients say so in different ways: HTTP 412, HTTP 409 while another
    writer is at it, FileExistsError, or an OSError with EINVAL.

    Args:
        error: what the client raised.
    """
    taken = isinstance(error, FileExistsError) or error.errno == errno.EINVAL
    return taken or _status(error) in (_CONFLICT, _PRECONDITION_FAILED)


def _in_words(error: Exception, url: str) -> Exception:
    from botocore import exceptions as aws

    said = _said(error)
    without = (
        aws.NoCredentialsError
        | aws.PartialCredentialsError
        | aws.CredentialRetrievalError
        | aws.ProfileNotFound
        | aws.SSOError
        | aws.TokenRetrievalError
    )
    if isinstance(error, without):
        return PermissionError(
            f"An object store needs credentials; for {url} there are none: {said}. "
            f"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, on "
            f"every machine that reads or writes there."
        )
    if isinstance(error, PermissionError):
        return PermissionError(
            f"An object store needs credentials that may do what is asked; {url} "
            f"answers: {said}. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            f"AWS_PROFILE, and the bucket's policy."
        )
    if isinstance(error, aws.ParamValidationError):
        return ValueError(
            f"A bucket needs a name of 3 to 63 small letters, digits, dots and "
            f"hyphens; {url} has another. Correct it."
        )
    if isinstance(error, aws.ConfigParseError):
        return ValueError(
            f"An object store needs an AWS configuration file that can be read; there "
            f"is: {said}. Correct the file, or name another in AWS_CONFIG_FILE."
        )
    if _code(error) == "NoSuchBucket":
        return no_such_bucket(url)
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(
            f"A file is needed at {url}; nothing of that name is there. "
            f"Check the name, and AWS_ENDPOINT_URL."
        )
    if not isinstance(error, OSError) or isinstance(error, ConnectionError):
        return ConnectionError(
            f"An object store needs a server that answers; {url} gives: {said}. "
            f"Check the network and AWS_ENDPOINT_URL."
        )
    return OSError(
        f"An object store needs a server that does what it is asked; {url} answers, "
        f"after every attempt: {said}. Try again later; what was written is kept."
    )


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(". ")


def _response(error: Exception) -> dict[str, Any]:
    """Return the answer that an error of the client was made from, if any."""
    answer = getattr(error.__cause__ or error, "response", None)
    return answer if isinstance(answer, dict) else {}


def _code(error: Exception) -> str | None:
    return _response(error).get("Error", {}).get("Code")


def _status(error: Exception) -> int | None:
    return _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
