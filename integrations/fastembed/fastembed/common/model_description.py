"""Models as data, in fastembed's form."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are; at least one of the first two is given, else a ValueError.

    Attributes:
        hf: A repository of the Hugging Face Hub.
        url: A ``.tar.gz`` archive.
        _deprecated_tar_struct: Kept for callers who pass it; no layout depends on it here.
    """

    hf: str | None = None
    url: str | None = None
    _deprecated_tar_struct: bool = False

    def __post_init__(self) -> None:
        if self.hf is None and self.url is None:
            raise ValueError("a model needs a source: pass hf='org/name' or url=")

    @property
    def deprecated_tar_struct(self) -> bool:
        """Whether the archive had fastembed's old layout."""
        return self._deprecated_tar_struct


@dataclass(frozen=True)
class BaseModelDescription:
    """What the description of every model holds.

    Attributes:
        model: Its name.
        sources: Where its files are.
        model_file: The graph, relative to the model's folder.
        description: One line for people.
        license: Licence of the weights.
        size_in_GB: Download size.
        additional_files: Further files that must be there.
    """

    model: str
    sources: ModelSource
    model_file: str
    description: str
    license: str
    size_in_GB: float  # noqa: N815  # the name that users know
    additional_files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DenseModelDescription(BaseModelDescription):
    """A model whose vectors have one length.

    Attributes:
        dim: Numbers of a vector.
        tasks: Task names and their ids.
    """

    dim: int | None = None
    tasks: dict[str, Any] | None = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dim is None:
            # fastembed asserts this, so callers who catch anything catch that.
            raise AssertionError("dim is None; pass the numbers of a vector")


@dataclass(frozen=True)
class SparseModelDescription(BaseModelDescription):
    """A sparse model.

    Attributes:
        requires_idf: True where the search engine has to bring in the inverse document frequency, else ``None``.
        vocab_size: Entries that can have a weight; 0 where any can.
    """

    requires_idf: bool | None = None
    vocab_size: int | None = None


class PoolingType(str, Enum):  # noqa: UP042  # `str()` of a member gives what fastembed's gives
    """How token vectors become one."""

    CLS = "CLS"
    MEAN = "MEAN"
    LAST_TOKEN = "LAST_TOKEN"  # noqa: S105  # a pooling, no password
    DISABLED = "DISABLED"
