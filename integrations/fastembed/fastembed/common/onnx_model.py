"""One model of the core behind fastembed's attributes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, SupportsIndex, TypeVar

from fastembed.common.arguments import Arguments
from fastembed.common.types import Device, NumpyArray, OnnxProvider
from onnxembed.adapters.inside import (
    Model,
    ModelSpec,
    fastembed_limit,
    find_known,
    folder_of,
    session_of,
    tokenizer_of,
)
from onnxembed.errors import InputError, ModelNotFoundError

CoreT = TypeVar("CoreT", bound=Model[Any, Any, Any])


@dataclass
class OnnxOutputContext:
    """What a graph gave for a batch.

    Attributes:
        model_output: The output that is used.
        attention_mask: 1 for tokens, 0 for padding.
        input_ids: The token ids.
    """

    model_output: NumpyArray
    attention_mask: NumpyArray | None = None
    input_ids: NumpyArray | None = None


def _own_layout(cache: Path, model_name: str) -> Path | None:
    """The folder of a model that is no copy of the Hub's: from fastembed's old archives, or put there by hand."""
    name = model_name.rpartition("/")[2]
    folders = (cache / f"fast-{name}", cache / name)
    return next((folder for folder in folders if folder.is_dir() and any(folder.iterdir())), None)


class OnnxModel(Generic[CoreT]):
    """A family of models: which of the core's it has, and the core's object for one of them.

    Its attributes ``model`` (ONNX Runtime's session), ``tokenizer`` (a copy, which pads to the longest text) and
    ``_model_dir`` are those that fastembed's users read.
    """

    core_class: ClassVar[type[Model[Any, Any, Any]]]
    own_keywords: ClassVar[tuple[str, ...]] = ()
    fixed_options: ClassVar[Mapping[str, Any]] = {}
    """Options of the core on which fastembed's numbers depend."""

    def __init__(
        self,
        model_name: str,
        cache_dir: str | os.PathLike[str] | None = None,
        threads: SupportsIndex | None = None,
        providers: Sequence[OnnxProvider] | None = None,
        cuda: bool | Device | str | None = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        device_id: SupportsIndex | None = None,
        specific_model_path: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Find the files, and load the model unless ``lazy_load`` is true.

        Args:
            model_name: A name of `list_supported_models`, in any case.
            cache_dir: Where models are kept; ``None``: ``FASTEMBED_CACHE_PATH``, else ``fastembed_cache`` in the folder
                of temporary files.
            threads: Processors that one inference uses; 0 and ``None`` for all.
            providers: Execution providers of ONNX Runtime; they win over ``cuda``.
            cuda: Whether CUDA is used; ``Device.AUTO`` where it is available, ``None`` as ``False``.
            device_ids: CUDA devices that share the batches.
            lazy_load: Whether the graph is loaded on first use.
            device_id: The only CUDA device.
            specific_model_path: A folder with the model's files.
            **kwargs: ``local_files_only``, ``enable_cpu_mem_arena``, ``max_length`` (at most the model's limit), and
                what the family knows; others are passed over.
        """
        arguments = Arguments.read(
            model_name,
            cache_dir,
            threads,
            providers,
            cuda,
            device_ids,
            lazy_load,
            device_id,
            specific_model_path,
            kwargs,
        )
        self.model_name = model_name
        self.cache_dir = arguments.options["cache_dir"]
        self.threads = arguments.options["threads"]
        self._prepare(arguments)
        self._core: CoreT = self._open(arguments)
        self._used = not arguments.options["lazy_load"]

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model of the core belongs to this family."""
        raise NotImplementedError

    @classmethod
    def supports(cls, model_name: str) -> bool:
        """Whether a model of this name, in any case, belongs to this family."""
        spec = find_known(cls.core_class, model_name)
        return spec is not None and cls.holds(spec)

    def _prepare(self, arguments: Arguments) -> None:
        """Do what must be done before the core looks the model up."""

    def _open(self, arguments: Arguments) -> CoreT:
        """Find the files, then open the model with fastembed's token limit."""
        options = {**arguments.options, **self.fixed_options, **arguments.own(self.own_keywords)}
        make: Any = self.core_class
        found = make(arguments.model_name, **{**options, "lazy_load": True})
        try:
            folder = folder_of(found)
        except ModelNotFoundError as error:
            own = _own_layout(Path(self.cache_dir), arguments.model_name)
            if own is None or options["specific_model_path"] is not None:
                # Callers match the beginning.
                raise type(error)(f"Could not load model {arguments.model_name} from any source: {error}") from error
            options["specific_model_path"] = own
            found = make(arguments.model_name, **{**options, "lazy_load": True})
            folder = folder_of(found)
        self._model_dir = Path(self.cache_dir) if folder is None else folder
        limit = None if folder is None else self._limit(found, folder, arguments.max_length)
        if limit is not None:
            options["max_length"] = limit
        opened: CoreT = found if limit is None and options["lazy_load"] else make(arguments.model_name, **options)
        return opened

    def _limit(self, found: Any, folder: Path, chosen: int | None) -> int | None:
        """The token limit to ask for, ``None`` for the core's own: the caller's is at most the model's."""
        own = getattr(found, "max_length", None)
        if own is None:
            return None
        limit = fastembed_limit(folder)
        if chosen is None:
            return limit
        return min(chosen, own if limit is None else limit)

    # what users reach for

    @property
    def model(self) -> Any:
        """ONNX Runtime's session; with ``lazy_load`` there is none before the first use. Tables and BM25 have none."""
        if not self._used or not self._core.loaded:
            raise AttributeError("model is not loaded yet; it is on first use")
        try:
            return session_of(self._core)
        except InputError as error:
            raise AttributeError(str(error)) from error

    @cached_property
    def tokenizer(self) -> Any:
        """A copy of the model's tokenizer, which pads to the longest text; models of images and BM25 have none."""
        try:
            return tokenizer_of(self._core)
        except InputError as error:
            raise AttributeError(str(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "tokenizer"}

    def load_onnx_model(self) -> None:
        """Load the graph now."""
        session_of(self._core)
        self._used = True
