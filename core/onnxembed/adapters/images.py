"""Texts and images in one space: a second core object beside that of the texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import PrivateAttr

from onnxembed.adapters.dense import VectorModel
from onnxembed.adapters.engine import Opened, describe, inherited, option_names, reopened
from onnxembed.adapters.fields import ImageFields
from onnxembed.errors import InputError
from onnxembed.image.options import ImageOptions

if TYPE_CHECKING:
    from onnxembed import ImageEmbedding

__all__ = ["ImageHalf"]


class ImageHalf(ImageFields, VectorModel):
    """An `ImageEmbedding` behind fields, to be inherited beside the model of the text half.

    Attributes:
        image_options_class: The core's options of the image half.
        image_names: The field for each option of the image half that the core calls otherwise; an adapter adds the one
            for ``model_name``.
    """

    image_options_class: ClassVar[type[ImageOptions]] = ImageOptions
    image_names: ClassVar[Mapping[str, str]] = ImageFields.image_names

    _opened_images: Opened | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        describe(cls, cls.image_options_class, "image_names")

    def model_post_init(self, context: Any, /) -> None:
        """Make both core objects, so that halves that do not belong together are refused at once."""
        super().model_post_init(context)
        self._open_images(lazy_load=self.lazy_load)

    @property
    def image_engine(self) -> ImageEmbedding:
        """The core object that embeds images."""
        held = self._opened_images
        if held is None or held.fields != self.__dict__:
            held = self._open_images()
        return cast("ImageEmbedding", held.engine)

    def _open_images(self, *, lazy_load: bool = True) -> Opened:
        fields = dict(self.__dict__)
        with self._in_our_words("image_names"):
            settings = self._image_settings(fields)
            make = partial(self._make_images, lazy_load=lazy_load)
            held = self._opened_images = reopened(self._opened_images, fields, settings, make)
        return held

    @classmethod
    def _image_settings(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The core's arguments; ``None`` leaves the core's default."""
        from onnxembed import ImageEmbedding

        names = option_names(cls, "image_names", "image_options_class")
        settings = {core: fields[here] for core, here in names.items() if fields[here] is not None}
        text_model = cls._settings(fields)["model_name"]
        return {**settings, "model_name": ImageEmbedding.image_half(text_model, settings.get("model_name"))}

    @staticmethod
    def _make_images(settings: dict[str, Any], *, lazy_load: bool) -> ImageEmbedding:
        from onnxembed import ImageEmbedding

        return ImageEmbedding(**settings, lazy_load=lazy_load)

    def _image_vectors(self, images: Iterable[Any], *, alone: bool = False) -> list[list[float]]:
        """Embed images, if they lie in one space with the texts; one that stands ``alone`` is never skipped.

        Frameworks name the result a list of vectors; with ``on_error="skip"`` some places hold ``None``.
        """
        if isinstance(images, Sized) and not len(images):
            return []
        engine = self.image_engine
        with self._in_our_words("image_names"):
            numbers = self._current().engine.embedding_size
            if engine.embedding_size != numbers:
                text_model, field = self._current().settings["model_name"], inherited(type(self), "image_names")
                raise InputError(
                    f"the vectors of {engine.model_name} have {engine.embedding_size} numbers, those of {text_model} "
                    f"{numbers}: not of one space; pass the {field['model_name']}= that belongs to the texts"
                )
            # An iterator goes to the core as one, which copies each item before it asks for the next.
            on_error: Any = "raise" if alone else self.on_error
            vectors = engine.embed(images, batch_size=self.image_batch_size, parallel=self.parallel, on_error=on_error)
            return cast("list[list[float]]", [None if vector is None else self._encoded(vector) for vector in vectors])
