"""The encoded bytes of a picture: from bytes, a file, a file object, a data URI or a URL."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.limits import SHOWN_CHARACTERS, ImageLimits, check_length, public_url

ACCEPTED = (
    "a path, bytes, a binary file object, a data URI, a PIL image, or a uint8 array of shape (height, width) or "
    "(height, width, channels)"
)
"""What an image may be, for messages."""
_CHUNK_BYTES = 1024 * 1024  # file objects set aside what they are asked for, not what there is


def describe(source: object) -> str:
    """Say in a few words what a source is; never shows a URL's password or query, nor an image's data."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(source, str) and _scheme(source) == "data":
        return "a data URI"
    if isinstance(source, str) and _is_url(source):
        return f"URL {public_url(source)!r}"
    if isinstance(source, (str, os.PathLike)):
        shown = os.fspath(source)
        text = shown if isinstance(shown, str) else os.fsdecode(shown)
        return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")
    file_name = getattr(source, "name", None)
    kind = type(source).__name__
    return f"a {kind} of {file_name!r}" if isinstance(file_name, str) else f"a {kind}"


def read(source: object, name: str, limits: ImageLimits) -> bytes:
    """Read the encoded bytes of a picture: at least 1, at most as many as the limits allow.

    An `InputError` says that they cannot be read, are none or too many; an `InputTypeError`, that it is no such source.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, str):
        data = _read_text(source, name, limits)
    elif isinstance(source, os.PathLike):
        data = _read_file(os.fspath(source), name, limits.max_bytes)
    elif callable(getattr(source, "read", None)):
        data = _read_stream(source, name, limits.max_bytes)
    else:
        raise InputTypeError(f"{name} cannot be used; expected {ACCEPTED}")
    check_length(len(data), name, limits.max_bytes)
    return data


def _scheme(text: str) -> str:
    """The scheme of a URI in small letters, empty where there is none; a drive letter is none."""
    scheme, colon, _ = text[:32].partition(":")
    return scheme.lower() if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum() else ""


def _is_url(text: str) -> bool:
    return _scheme(text) in ("http", "https")


def _read_text(text: str, name: str, limits: ImageLimits) -> bytes:
    """Read what a string points to: a data URI, a URL, or a path."""
    if not text:
        raise InputError(f"{name} is an empty string; expected {ACCEPTED}")
    if _scheme(text) == "data":
        return _read_data_uri(text, name, limits.max_bytes)
    if _is_url(text):
        if not limits.allow_urls:
            raise InputError(
                f"{name} is a URL, and URLs are not fetched unless asked for; pass allow_urls=True if you trust the "
                "addresses, or fetch it yourself and pass the bytes"
            )
        from onnxembed.image import urls

        return urls.fetch(text, name, limits.max_bytes, limits.timeout_seconds)
    return _read_file(text, name, limits.max_bytes)


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
