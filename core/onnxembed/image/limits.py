"""What an image may cost and where it may come from; and how much of an address messages show."""

from __future__ import annotations

from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from onnxembed.api.inputs import at_least, check_flag, check_number
from onnxembed.api.options import option
from onnxembed.errors import InputError

SHOWN_CHARACTERS = 300
"""Most characters of an address that a message shows."""
_SHORTEST_TIMEOUT = 0.001


def _timeout(value: object, name: str) -> float:
    return check_number(value, name, _SHORTEST_TIMEOUT, float("inf"))


# Without slots, since classes of options inherit these fields beside those of models, and only one base may have slots.
@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What an image may cost, and where it may come from; options of every model that reads pictures.

    Attributes:
        allow_urls: Whether strings that begin with ``http://`` or ``https://`` are fetched; addresses that are not on
            the public internet are refused.
        max_pixels: Highest width times height of an image, checked before it is decoded; a pixel takes 4 bytes.
        max_bytes: Highest size of an encoded image, in bytes.
        timeout_seconds: Longest time that fetching one URL may take, redirects included.
    """

    allow_urls: bool = option(False, check_flag, exported=False)
    max_pixels: int = option(89_478_485, at_least(1), exported=False)
    max_bytes: int = option(100 * 1024 * 1024, at_least(1), exported=False)
    timeout_seconds: float = option(20.0, _timeout, exported=False)


def check_limits(limits: ImageLimits) -> ImageLimits:
    """Refuse limits of a wrong type or out of range, for callers of `load_image`; options check themselves."""
    for declared in fields(ImageLimits):
        declared.metadata["check"](getattr(limits, declared.name), declared.name)
    return limits


def check_length(count: int, name: str, max_bytes: int) -> None:
    """Refuse a picture of no bytes or too many; one more than the limit stands for "more"."""
    if count == 0:
        raise InputError(f"{name} is empty, 0 bytes; expected an encoded picture: check how it was written or read")
    if count > max_bytes:
        raise InputError(
            f"{name} has more than {max_bytes} bytes, the limit; make it smaller, or raise max_bytes if you trust it"
        )


def public_url(url: str) -> str:
    """Leave out of a URL what may be secret, the user's name and password, the query and the fragment; shortened."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("?")[0].split("@")[-1][:SHOWN_CHARACTERS]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:SHOWN_CHARACTERS]
