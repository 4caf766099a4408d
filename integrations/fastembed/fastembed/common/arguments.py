"""What callers pass to constructors, read with fastembed's tolerance into options of the core."""

from __future__ import annotations

import logging
import operator
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsIndex

from fastembed.common.types import Device

logger = logging.getLogger("onnxembed.fastembed")

# Tables of static models are mapped always.
_PASSED_OVER = ("mmap",)
_COMMON = ("enable_cpu_mem_arena", "local_files_only")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one constructor.

    Attributes:
        model_name: The model's name.
        options: Options of the core.
        max_length: The caller's token limit, which may be more than the model has.
        further: Keywords that only some families of models know.
    """

    model_name: str
    options: dict[str, Any]
    max_length: int | None = None
    further: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        model_name: str,
        cache_dir: str | os.PathLike[str] | None,
        threads: SupportsIndex | None,
        providers: object,
        cuda: object,
        device_ids: object,
        lazy_load: object,
        device_id: SupportsIndex | None,
        specific_model_path: str | os.PathLike[str] | None,
        rest: Mapping[str, Any],
    ) -> Arguments:
        """Read the arguments; the cache's folder is made.

        ``cuda``, ``device_ids`` and ``lazy_load`` are also found one place too far left, where chromadb's function
        puts them.
        """
        providers, cuda, device_ids, lazy_load = _in_place(providers, cuda, device_ids, lazy_load)
        options: dict[str, Any] = {
            "cache_dir": str(define_cache_dir(cache_dir)),
            "threads": None if threads is None else operator.index(threads) or None,
            "lazy_load": bool(lazy_load),
            "specific_model_path": specific_model_path,
            **{name: rest[name] for name in _COMMON if rest.get(name) is not None},
            **_placement(providers, cuda, device_ids, device_id),
        }
        known = (*_COMMON, *_PASSED_OVER, "max_length")
        limit = rest.get("max_length")
        return cls(
            model_name,
            options,
            None if limit is None else operator.index(limit),
            {name: value for name, value in rest.items() if name not in known},
        )

    def own(self, names: Iterable[str]) -> dict[str, Any]:
        """Take the keywords that a family knows; others are passed over with a line in the log, as fastembed does."""
        listed = tuple(names)
        unknown = sorted(name for name in self.further if name not in listed)
        if unknown:
            logger.info("%s: fastembed's classes know no %s; passed over", self.model_name, ", ".join(unknown))
        return {name: self.further[name] for name in listed if self.further.get(name) is not None}


def define_cache_dir(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Make and name the folder of the models: the one given, ``FASTEMBED_CACHE_PATH``, or one for temporary files."""
    chosen = cache_dir or os.environ.get("FASTEMBED_CACHE_PATH")
    path = Path(chosen) if chosen else Path(tempfile.gettempdir()) / "fastembed_cache"
    path.mkdir(parents=True, exist_ok=True)
    return path


def batches_of(batch_size: SupportsIndex, parallel: SupportsIndex | None) -> tuple[int, int | None]:
    """Read the two counts of a call, numbers of NumPy included; a batch size below 1 is a ValueError."""
    size = operator.index(batch_size)
    if size < 1:
        raise ValueError(f"batch_size must be >= 1, got {size}")
    return size, None if parallel is None else operator.index(parallel)


def _in_place(
    providers: object, cuda: object, device_ids: object, lazy_load: object
) -> tuple[object, object, object, object]:
    """Put arguments that came one place too far left where their types say that they belong."""
    if isinstance(device_ids, bool):
        device_ids, lazy_load = None, device_ids
    if isinstance(cuda, list | tuple):
        cuda, device_ids = Device.AUTO, cuda
    if isinstance(providers, bool):
        providers, cuda = None, providers
    return providers, cuda, device_ids, lazy_load


def _placement(providers: object, cuda: object, device_ids: object, device_id: SupportsIndex | None) -> dict[str, Any]:
    """Say where the model runs: ``providers`` before ``cuda``; devices count for CUDA alone, ``None`` is no CUDA."""
    listed = list(providers) if isinstance(providers, Sequence) and not isinstance(providers, str) else providers
    wanted = Device.CPU if cuda is None else cuda
    if listed:
        return {"providers": listed, "cuda": wanted}
    if not wanted or wanted == Device.CPU:
        return {"cuda": False}
    numbers = device_ids if device_id is None else [operator.index(device_id)]
    return {"cuda": wanted, "device_ids": numbers}
