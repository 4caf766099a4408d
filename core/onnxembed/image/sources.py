"""The encoded bytes of a picture: from bytes, a file, a file object, a ``data:`` or ``file:`` URI, or a URL."""

from __future__ import annotations

import inspect
import os
import stat
from pathlib import Path
from typing import Any

from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.limits import SHOWN_CHARACTERS, ImageLimits, check_length, public_url

ACCEPTED = (
    "a path, bytes, a binary file object, a data URI, a PIL image, or a uint8 array of shape (height, width) or "
    "(height, width, channels)"
)
"""What an image may be, for messages."""
_CHUNK_BYTES = 1024 * 1024  # file objects set aside what they are asked for, not what there is
_CHUNK_CHARACTERS = 16 * 1024  # the standard library makes an object of each character that is percent-encoded
_SHORTEST_BASE64 = 64


def describe(source: object) -> str:
    """Say in a few words what a source is; never shows a URL's password or query, nor an image's data."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(source, str) and _scheme(source) == "data":
        return "a data URI"
    if isinstance(source, str) and _is_url(source):
        return f"URL {public_url(source)!r}"
    if isinstance(source, str) and _in_base64(source):
        return "a string"
    if isinstance(source, (str, os.PathLike)):
        shown = os.fspath(source)
        text = shown if isinstance(shown, str) else os.fsdecode(shown)
        return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")
    file_name = getattr(source, "name", None)
    kind = type(source).__name__
    return f"a {kind} of {file_name!r}" if isinstance(file_name, str) else f"a {kind}"


def is_file_object(source: object) -> bool:
    """Whether a source is read like a file."""
    return not isinstance(source, (str, os.PathLike)) and callable(getattr(source, "read", None))


def read(source: object, name: str, limits: ImageLimits) -> bytes:
    """Read the encoded bytes of a picture: at least 1, at most as many as the limits allow.

    An `InputError` says that they cannot be read, are none or too many; an `InputTypeError`, that it is no such source.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = _read_memory(source, name, limits.max_bytes)
    elif isinstance(source, str):
        data = _read_text(source, name, limits)
    elif isinstance(source, os.PathLike):
        data = _read_file(os.fsdecode(source), name, limits.max_bytes)
    elif is_file_object(source):
        data = _read_stream(source, name, limits.max_bytes)
    else:
        raise InputTypeError(f"{name} cannot be used; expected {ACCEPTED}")
    check_length(len(data), name, limits.max_bytes)
    return data


def local_path(source: str | os.PathLike[Any]) -> str | None:
    """The path that a string or an object stands for, of a ``file:`` URI too; ``None`` for other URIs and URLs."""
    if isinstance(source, str) and (_scheme(source) == "data" or _is_url(source)):
        return None
    return _without_scheme(source) if isinstance(source, str) else os.fsdecode(source)


def check_file(path: str, name: str, what: str, advice: str = "") -> int:
    """Give the size of a file; an `InputError` if it is not there, or no regular file."""
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        raise _missing(path, name) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, what, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name} is a directory; expected {what}{advice}")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is a device, pipe or socket, no regular file; read it yourself and pass the bytes")
    return status.st_size


def _scheme(text: str) -> str:
    """The scheme of a URI in small letters, empty where there is none; a drive letter is none."""
    scheme, colon, _ = text[:32].partition(":")
    return scheme.lower() if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum() else ""


def _is_url(text: str) -> bool:
    return _scheme(text) in ("http", "https")


def _without_scheme(text: str) -> str:
    """The path of an absolute ``file:`` URI of this machine (RFC 8089); every other text as it is."""
    if _scheme(text) != "file" or not text[5:].startswith("/"):
        return text
    from urllib.parse import unquote_to_bytes
    from urllib.request import url2pathname

    path = text[5:]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            return text
        path = slash + path
    return url2pathname(path) if os.name == "nt" else os.fsdecode(unquote_to_bytes(path))


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
    return _read_file(_without_scheme(text), name, limits.max_bytes)


def _read_data_uri(uri: str, name: str, max_bytes: int) -> bytes:
    """Decode a data URI (RFC 2397), in base64 or percent-encoded."""
    import base64
    import binascii

    head, comma, body = uri.partition(",")
    if not comma:
        raise InputError(f"{name} has no comma; expected data:image/png;base64,iVBORw0...")
    if len(body) > 4 * max_bytes:
        check_length(max_bytes + 1, name, max_bytes)
    if not head.lower().endswith(";base64"):
        return _unquoted(body, name, max_bytes)
    packed = _unquoted(body, name, len(body)).translate(None, b" \t\n\r\v\f").rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise InputError(f"{name} is not valid base64 ({error}); encode it with base64.b64encode") from error


def _unquoted(text: str, name: str, most: int) -> bytes:
    """Undo the percent-encoding piece by piece, no further than one byte past ``most``."""
    from urllib.parse import unquote_to_bytes

    data = bytearray()
    start = 0
    while start < len(text) and len(data) <= most:
        end = start + _CHUNK_CHARACTERS
        sign = text.rfind("%", end - 2, end)
        if sign >= 0:  # its two digits belong to it
            end = sign
        try:
            data += unquote_to_bytes(text[start:end])
        except UnicodeEncodeError as error:
            raise InputError(
                f"{name} holds a character that no URI can, at position {start + error.start} of its data; percent-"
                "encode the bytes, or encode them with base64.b64encode"
            ) from error
        start = end
    return bytes(data[: most + 1])


def _read_memory(source: bytes | bytearray | memoryview, name: str, max_bytes: int) -> bytes:
    try:
        check_length(memoryview(source).nbytes, name, max_bytes)
        return bytes(source)
    except InputError:
        raise
    except ValueError as error:  # a view that was released
        raise InputError(f"{name} cannot be read: {error}; pass the bytes") from error


def _read_file(path: str, name: str, max_bytes: int) -> bytes:
    what = "a picture"
    size = check_file(path, name, what, ": pass the files in it, as in sorted(Path(folder).glob('*.jpg'))")
    try:
        with Path(path).open("rb") as file:
            return file.read(min(size, max_bytes) + 1)
    except FileNotFoundError as error:
        raise _missing(path, name) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, what, error) from error


def _missing(text: str, name: str) -> InputError:
    return _base64_error(text, name) or InputError(f"{name} does not exist{_path_hint(text)}; check the path")


def _unreadable(text: str, name: str, what: str, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _base64_error(text, name) or InputError(f"{name} cannot be read: {reason}; expected the path of {what}")


def _base64_error(text: str, name: str) -> InputError | None:
    """Say that what was taken for a path is a picture in base64, if it is."""
    form = _in_base64(text)
    if not form:
        return None
    kind = "a PDF" if form == "PDF" else f"a {form} picture"
    media = "application/pdf" if form == "PDF" else f"image/{form.lower().replace(' ', '').replace('2000', '2')}"
    return InputError(
        f"{name} is {kind} in base64 and was taken for a path; put 'data:{media};base64,' in front, or pass "
        "base64.b64decode(...) of it"
    )


def _in_base64(text: str) -> str | None:
    if len(text) < _SHORTEST_BASE64:
        return None
    from onnxembed.image.formats import format_in_base64

    return format_in_base64(text)


def _path_hint(text: str) -> str:
    """Why a relative or odd path may be missing."""
    if text.startswith("~"):
        return " (~ is not expanded; use Path(...).expanduser())"
    scheme = _scheme(text)
    if scheme == "file":
        return " (only file: URIs of this machine are read, as file:///home/me/cat.jpg)"
    if scheme and "://" in text:
        return f" ({scheme}: is no scheme that can be read; pass a path, the bytes, or an http(s) URL)"
    return "" if Path(text).is_absolute() else f" in {str(Path.cwd())!r}"


def _read_stream(stream: Any, name: str, max_bytes: int) -> bytes:
    """Read a file object from where it is, from its start if it stands at its end, and no further than the limit."""
    if inspect.iscoroutinefunction(stream.read):
        # An upload of a web framework: asynchronous, around a file that is not.
        if not callable(getattr(getattr(stream, "file", None), "read", None)):
            raise InputTypeError(f"{name} is read with await; pass the bytes, as in await upload.read()")
        stream = stream.file
    try:
        data = _rest(stream, name, max_bytes)
        if not data and _rewound(stream):
            data = _rest(stream, name, max_bytes)
    except (InputTypeError, MemoryError):
        raise
    except Exception as error:  # file objects of archives, networks and devices fail in their own words
        raise InputError(
            f"{name} cannot be read: {str(error) or type(error).__name__}; open it anew, in mode 'rb'"
        ) from error
    return data


def _rest(stream: Any, name: str, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes + 1
    while left > 0:
        part = stream.read(min(left, _CHUNK_BYTES))
        if not isinstance(part, (bytes, bytearray)):
            raise InputTypeError(f"{name} gives {type(part).__name__} instead of bytes; open the file in mode 'rb'")
        if not part:
            break
        parts.append(bytes(part))
        left -= len(part)
    return b"".join(parts)


def _rewound(stream: Any) -> bool:
    """Go back to the start of a file object that stands at its end; whether it could."""
    try:
        stream.seek(0)
    except Exception:  # noqa: BLE001  # a pipe, a response: what has come has come
        return False
    return True
