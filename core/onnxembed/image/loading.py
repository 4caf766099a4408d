"""From any form of an image to an upright picture in RGB.

::

    path, bytes, file object, data URI, URL -> bytes (sources.py, urls.py) -> picture (decoding.py) --+
    array ------------------------------------------------------------------> picture ----------------+-> upright, RGB
    PIL image ----------------------------------------------------------------------------------------+   (colour.py)

Sizes are checked before memory is spent on them, against limits of our own: no global of Pillow is set or relied on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import InputError, InputTypeError, OnnxEmbedError
from onnxembed.image import colour, decoding, sources
from onnxembed.image.limits import ImageLimits
from onnxembed.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageLimits", "load_image"]

# A PIL image decodes itself on first use and is not made for two threads that come at once, as they do when a caller
# passes one picture twice. Many locks, so that different pictures seldom wait for each other.
_LOCKS = 64
_LOADING = PerProcess(lambda: tuple(threading.Lock() for _ in range(_LOCKS)))


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture in RGB that nobody else changes.

    Attributes:
        picture: The picture.
    """

    picture: Image

    @property
    def nbytes(self) -> int:
        """What it occupies in memory."""
        return 4 * self.picture.width * self.picture.height


def ready(source: object, index: int, limits: ImageLimits) -> Ready:
    """Load an array or a PIL image whose owner may change, move on or close it the moment after."""
    picture = load_image(source, index, limits)
    # A picture of mapped memory shares it.
    return Ready(picture.copy() if picture is source or picture.readonly else picture)


def load_image(source: object, index: int, limits: ImageLimits, *, described: str | None = None) -> Image:
    """Load one picture: decoded, turned upright by its EXIF orientation, laid on white, in RGB.

    A file object is read from its present position to its end and stays there; one that stands at its end, from its
    start. Of several frames the first is taken;
    of a PIL image the one that it shows. A PIL image is never changed or closed, and may be returned as it is.

    Args:
        source: A path, bytes, a binary file object, a ``data:`` or ``file:`` URI, a URL where the limits allow it, a
            PIL image, or a uint8 array of shape (height, width), (height, width, 1), (height, width, 3) RGB or (height,
            width, 4) RGBA. A picture that is `Ready` is returned, an error raised.
        index: Position of the image among those given, counted from 0; for messages.
        limits: What it may cost.
        described: What messages call the source; ``None`` for a description of itself.

    Returns:
        The picture, in mode RGB. Not to be written to: it may share its memory with the caller's.

    Raises:
        InputError: If there is no such file, or it is no picture, damaged, or above a limit.
        InputTypeError: If the source is of another type, or an array of another dtype.
    """
    from PIL import Image

    if isinstance(source, Ready):
        return source.picture
    if isinstance(source, OnnxEmbedError):
        raise source
    if isinstance(source, Image.Image):
        name = f"image {index} (a PIL image)"
        picture = source
        decoding.check_size(picture.size, limits.max_pixels, name)
        with _LOADING.get()[id(source) // 16 % _LOCKS]:
            decoding.load_pixels(picture, name)
    elif isinstance(source, np.ndarray):
        name = f"image {index} (an array)"
        picture = _from_array(source, limits, name)
    else:
        name = f"image {index} ({described or sources.describe(source)})"
        data = sources.read(source, name, limits)
        picture = decoding.decode(data, limits.max_pixels, name)
    return colour.to_rgb(colour.upright(picture), name)


def _from_array(array: np.ndarray[Any, Any], limits: ImageLimits, name: str) -> Image:
    from PIL import Image

    if array.dtype != np.uint8:
        hint = (
            "multiply by 255 if its values lie between 0 and 1, then call .round().astype(numpy.uint8)"
            if np.issubdtype(array.dtype, np.floating)
            else "bring its values to 0 to 255 and call .astype(numpy.uint8)"
        )
        raise InputTypeError(f"{name} has dtype {array.dtype}; expected uint8 with values from 0 to 255: {hint}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; move the channels last with numpy.moveaxis(array, 0, -1)"
        elif array.ndim == 1:
            hint = "; for an encoded picture pass array.tobytes()"
        elif array.ndim == 4:
            hint = "; pass the images of a batch one by one, as in list(array)"
        raise InputError(
            f"{name} has shape {array.shape}; expected (height, width), or (height, width, channels) with 1, 3 or 4 "
            f"channels{hint}"
        )
    height, width = array.shape[:2]
    if not height or not width:
        raise InputError(f"{name} has shape {array.shape}, which holds no pixel; leave it out")
    decoding.check_size((width, height), limits.max_pixels, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(array))
