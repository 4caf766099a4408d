"""What an image may cost, and where it may come from."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.api.inputs import check_count, check_flag, check_number

_SHORTEST_TIMEOUT = 0.001


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may cost, and where it may come from.

    Attributes:
        max_pixels: Highest width times height, checked before decoding. A decoded pixel takes 4 bytes.
        max_bytes: Highest encoded size.
        allow_urls: Whether strings that begin with ``http://`` or ``https://`` are fetched.
        timeout_seconds: Longest time that fetching one URL may take, redirects included.
    """

    max_pixels: int = 89_478_485
    max_bytes: int = 100 * 1024 * 1024
    allow_urls: bool = False
    timeout_seconds: float = 20.0


def check_limits(limits: ImageLimits) -> ImageLimits:
    """Refuse limits that make no sense.

    Args:
        limits: As a caller wrote them.

    Returns:
        The same.

    Raises:
        InputTypeError: If a value has the wrong type.
        InputError: If one is out of range.
    """
    check_count(limits.max_pixels, "max_pixels", 1)
    check_count(limits.max_bytes, "max_bytes", 1)
    check_flag(limits.allow_urls, "allow_urls")
    check_number(limits.timeout_seconds, "timeout_seconds", _SHORTEST_TIMEOUT, float("inf"))
    return limits
