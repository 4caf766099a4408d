"""The encoded bytes of a picture, from wherever they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

from onnxembed.errors import InputError, InputTypeError

ACCEPTED = (
    "a path, bytes, a binary file object, a data URI, a PIL image, or a uint8 array of shape (height, width) or "
    "(height, width, channels)"
)
"""What an image may be, for messages."""
_SHOWN_CHARACTERS = 300
_CHUNK_BYTES = 1024 * 1024  # file objects set aside what they are asked for, not what there is


def describe(source: object) -> str:
    """Say in a few words what a source is; never shows a URL's password or query, nor an image's data.

    Args:
        source: Any object.

    Returns:
        Such as ``'photos/cat.jpg'`` or ``bytes``.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(source, str) and _scheme(source) == "data":
        return "a data URI"
    if isinstance(source, str) and _is_url(source):
        return f"URL {public_url(source)!r}"
    if isinstance(source, (str, os.PathLike)):
        shown = os.fspath(source)
        text = shown if isinstance(shown, str) else os.fsdecode(shown)
        return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
    file_name = getattr(source, "name", None)
    kind = type(source).__name__
    return f"a {kind} of {file_name!r}" if isinstance(file_name, str) else f"a {kind}"


def public_url(url: str) -> str:
    """Leave out of a URL what may be secret: the user's name and password, the query and the fragment.

    Args:
        url: Any text that begins like a URL.

    Returns:
        Scheme, host and path, shortened.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("?")[0].split("@")[-1][:_SHOWN_CHARACTERS]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_SHOWN_CHARACTERS]


def read(source: object, name: str, max_bytes: int, url_timeout_seconds: float | None) -> bytes:
    """Read the encoded bytes of a picture.

    Args:
        source: A path, bytes, a binary file object, a data URI or a URL.
        name: What to call it in messages.
        max_bytes: Highest number of bytes.
        url_timeout_seconds: Longest time for fetching a URL; None where URLs are not allowed.

    Returns:
        At least 1 and at most ``max_bytes`` bytes.

    Raises:
        InputError: If it cannot be read, is empty or too large.
        InputTypeError: If it is none of these.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, str):
        data = _read_text(source, name, max_bytes, url_timeout_seconds)
    elif isinstance(source, os.PathLike):
        data = _read_file(os.fspath(source), name, max_bytes)
    elif callable(getattr(source, "read", None)):
        data = _read_stream(source, name, max_bytes)
    else:
        raise InputTypeError(f"{name} cannot be used; expected {ACCEPTED}")
    check_length(len(data), name, max_bytes)
    return data


def check_length(count: int, name: str, max_bytes: int) -> None:
    """Refuse a picture of no bytes or too many.

    Args:
        count: Its bytes; one more than the limit stands for "more".
        name: What to call it in messages.
        max_bytes: Highest number of bytes.

    Raises:
        InputError: If it is out of bounds.
    """
    if count == 0:
        raise InputError(f"{name} is empty, 0 bytes; expected an encoded picture: check how it was written or read")
    if count > max_bytes:
        raise InputError(
            f"{name} has more than {max_bytes} bytes, the limit; make it smaller, or raise max_bytes if you trust it"
        )


def _scheme(text: str) -> str:
    """The scheme of a URI in small letters, empty where there is none; a drive letter is none."""
    scheme, colon, _ = text[:32].partition(":")
    return scheme.lower() if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum() else ""


def _is_url(text: str) -> bool:
    return _scheme(text) in ("http", "https")


def _read_text(text: str, name: str, max_bytes: int, url_timeout_seconds: float | None) -> bytes:
    """Read what a string points to: a data URI, a URL, or a path."""
    if not text:
        raise InputError(f"{name} is an empty string; expected {ACCEPTED}")
    if _scheme(text) == "data":
        return _read_data_uri(text, name, max_bytes)
    if _is_url(text):
        if url_timeout_seconds is None:
            raise InputError(
                f"{name} is a URL, and URLs are not fetched unless asked for; pass allow_urls=True if you trust the "
                "addresses, or fetch it yourself and pass the bytes"
            )
        from onnxembed.image import urls

        return urls.fetch(text, name, max_bytes, url_timeout_seconds)
    return _read_file(text, name, max_bytes)


def _read_data_uri(uri: str, name: str, max_bytes: int) -> bytes:
    """Decode a data URI (RFC 2397), in base64 or percent-encoded."""
    import base64
    import binascii
    from urllib.parse import unquote_to_bytes

    head, comma, body = uri.partition(",")
    if not comma:
        raise InputError(f"{name} has no comma; expected data:image/png;base64,iVBORw0...")
    if len(body) > 4 * max_bytes:
        check_length(max_bytes + 1, name, max_bytes)
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    packed = b"".join(data.split()).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise InputError(f"{name} is not valid base64 ({error}); encode it with base64.b64encode") from error


def _read_file(path: str | bytes, name: str, max_bytes: int) -> bytes:
    """Read a regular file."""
    try:
        status = Path(os.fsdecode(path)).stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(
                f"{name} is a directory; expected a picture: pass the files in it, as in "
                "sorted(Path(folder).glob('*.jpg'))"
            )
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"{name} is a device, pipe or socket, no regular file; read it yourself and pass the bytes"
            )
        with Path(os.fsdecode(path)).open("rb") as file:
            return file.read(min(status.st_size, max_bytes) + 1)
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist{_path_hint(path)}; check the path") from error
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{name} cannot be read: {reason}; expected the path of a picture") from error


def _path_hint(path: str | bytes) -> str:
    """Why a relative or odd path may be missing."""
    text = os.fsdecode(path)
    if text.startswith("~"):
        return " (~ is not expanded; use Path(...).expanduser())"
    scheme = _scheme(text)
    if scheme and "://" in text:
        return f" ({scheme}: is no scheme that can be read; pass a path, the bytes, or an http(s) URL)"
    return "" if Path(text).is_absolute() else f" in {str(Path.cwd())!r}"


def _read_stream(stream: object, name: str, max_bytes: int) -> bytes:
    """Read a file object from where it is, and no further than the limit."""
    parts: list[bytes] = []
    left = max_bytes + 1
    while left > 0:
        try:
            part = stream.read(min(left, _CHUNK_BYTES))  # type: ignore[attr-defined]  # what the caller has checked
        except (OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read: {error}; open it anew, in mode 'rb'") from error
        if not isinstance(part, (bytes, bytearray)):
            raise InputTypeError(f"{name} gives {type(part).__name__} instead of bytes; open the file in mode 'rb'")
        if not part:
            break
        parts.append(bytes(part))
        left -= len(part)
    return b"".join(parts)
