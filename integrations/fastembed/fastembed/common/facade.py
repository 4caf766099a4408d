"""What the six public classes share: a model is looked for in the families of its kind, and the first one opens it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Generic, SupportsIndex, TypeVar, cast

from fastembed.common.model_description import BaseModelDescription, DenseModelDescription
from fastembed.common.model_management import ModelManagement
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import Device, OnnxProvider

DescriptionT = TypeVar("DescriptionT", bound=BaseModelDescription)
DenseT = TypeVar("DenseT", bound=DenseModelDescription)
FamilyT = TypeVar("FamilyT", bound=OnnxModel[Any])


class Facade(ModelManagement[DescriptionT], Generic[DescriptionT, FamilyT]):
    """The base of the public classes; ``model`` is the object of the family that has the model."""

    model: FamilyT

    def __init__(
        self,
        model_name: str,
        cache_dir: str | os.PathLike[str] | None = None,
        threads: SupportsIndex | None = None,
        providers: Sequence[OnnxProvider] | None = None,
        cuda: bool | Device | str | None = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        **kwargs: Any,
    ) -> None:
        """Find the model's family, which opens the model; the arguments are those of `OnnxModel`."""
        family = next((family for family in self._families() if family.supports(model_name)), None)
        if family is None:
            own = type(self).__name__
            raise ValueError(
                f"Model {model_name} is not supported in {own}. {own}.list_supported_models() lists the names; "
                f"onnxembed.{own} opens folders and repositories of the Hub, too"
            )
        self.model_name = model_name
        self.cache_dir = cache_dir
        self.threads = threads
        self.model = family(
            model_name,
            cache_dir,  # the families' arguments differ after these two
            threads=threads,
            providers=providers,
            cuda=cuda,
            device_ids=device_ids,
            lazy_load=lazy_load,
            **kwargs,
        )

    @classmethod
    def _families(cls) -> list[type[FamilyT]]:
        """The families in the order in which they are asked."""
        raise NotImplementedError

    @classmethod
    def _list_supported_models(cls) -> list[DescriptionT]:
        listed: list[DescriptionT] = []
        for family in cls._families():
            listed.extend(cast("type[ModelManagement[DescriptionT]]", family)._list_supported_models())
        return listed


class VectorFacade(Facade[DenseT, FamilyT]):
    """The base of the public classes whose vectors have one length."""

    @property
    def embedding_size(self) -> int:
        """Numbers of a vector."""
        return self.get_embedding_size(self.model_name)

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a model have, by its name in any case; a ValueError if it is unknown."""
        listed = cls._list_supported_models()
        for description in listed:
            if description.model.lower() == model_name.lower() and description.dim is not None:
                return description.dim
        names = ", ".join(description.model for description in listed)
        raise ValueError(f"Embedding size for model {model_name} was None: it is none of {names}")
