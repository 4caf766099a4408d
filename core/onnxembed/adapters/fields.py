"""Every option of the core as a field, declared once for all adapters; its description is the core's own.

Fields have the core's names except for those in `core_names`, which gives the name here for each of the core's that
differs; a class's table adds to those of its bases. An option that the core adds needs one field here. ``None`` leaves
an option to the core, so that an exported folder can decide it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from onnxembed.adapters.option_types import DeviceName, Login, PathText, PlainText, Provider, Ranges
from onnxembed.adapters.refusals import Refusing
from onnxembed.api.output_precision import OutputPrecision

__all__ = [
    "DENSE_MODEL",
    "LATE_INTERACTION_MODEL",
    "MULTIMODAL_TEXT_MODEL",
    "RERANK_MODEL",
    "SPARSE_MODEL",
    "DenseFields",
    "EngineFields",
    "ImageFields",
    "LateInteractionFields",
    "MuveraFields",
    "RerankFields",
    "SparseFields",
    "TextFields",
]

# Which model an adapter takes when none is named.
DENSE_MODEL: Final = "BAAI/bge-small-en-v1.5"
SPARSE_MODEL: Final = "Qdrant/bm25"
RERANK_MODEL: Final = "Xenova/ms-marco-MiniLM-L-6-v2"
LATE_INTERACTION_MODEL: Final = "answerdotai/answerai-colbert-small-v1"
MULTIMODAL_TEXT_MODEL: Final = "Qdrant/clip-ViT-B-32-text"


class EngineFields(Refusing):
    """Where a model's files come from, and how it runs."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), defer_build=True)

    core_names: ClassVar[Mapping[str, str]] = {"cuda": "device", "specific_model_path": "model_path"}

    # Read here too, so that the choice is seen on the object and travels to processes with another environment.
    cache_dir: PathText | None = Field(default_factory=lambda: os.environ.get("ONNXEMBED_CACHE") or None)
    local_files_only: bool = False
    revision: str | None = None
    # Excluded from dumps, so that no login is stored with a chain or an index.
    token: Login = Field(default=None, exclude=True, repr=False)
    model_file: str | None = None
    variant: str | None = None
    model_path: PathText | None = None
    accept_unknown: list[str] | None = None
    precision: PlainText | None = None
    show_progress: bool | None = None
    device: DeviceName = "auto"
    device_ids: list[int] | None = None
    providers: list[Provider] | None = None
    threads: int | None = Field(default=None, ge=1)
    enable_cpu_mem_arena: bool | None = None
    session_options: dict[str, str | int | bool] | None = None
    lazy_load: bool = True
    # Of each call.
    parallel: int | None = Field(
        default=None, ge=0, description="Batches run at once; 0 for one per processor, `None` for one per device."
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="Most items in one batch; `None` leaves it to the budget of the device."
    )


class TextFields(EngineFields):
    """How texts are cut and gathered into batches."""

    max_length: int | None = Field(default=None, ge=1)
    truncate: bool | None = None
    token_budget: int | None = Field(default=None, ge=1)


class DenseFields(TextFields):
    """How token vectors become one vector. The names of the two prompts are each framework's."""

    core_names: ClassVar[Mapping[str, str]] = {"dim": "dimensions", "passage_prompt_name": "document_prompt_name"}

    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    pooling: PlainText | None = None
    query_prompt_name: str | None = None
    document_prompt_name: str | None = None
    task_id: int | str | None = None
    # Of each call.
    output_precision: OutputPrecision = Field(
        default="float32",
        description="In which numbers vectors are given: `float32`, `float16`, `int8`, `uint8`, or one bit for each "
        "number, eight to an entry, as `binary` or `ubinary`.",
    )
    ranges: Ranges | None = Field(
        default=None,
        description="The least and the largest value of each dimension, which `int8` and `uint8` need: what "
        "`onnxembed.quantization_ranges` measures of many documents.",
    )


class SparseFields(TextFields):
    """How words are read and weighed; `None` leaves a choice to the model."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "stop_words": "here it is called 'stopwords'",
        "threshold": "here it is called 'min_weight'",
    }

    language: str | None = None
    k: float | None = None
    b: float | None = None
    avg_len: float | None = None
    token_max_length: int | None = None
    disable_stemmer: bool | None = None
    stemmer: Any = None
    stopwords: list[str] | None = None
    compatible: bool | None = None
    segmenter: Any = None
    statistics: Any = Field(
        default=None, description="BM25: what `SparseTextEmbedding.fit` measured, or the file it was saved in."
    )
    idf_in_query: bool | None = None
    alpha: float | None = None
    top_k: int | None = Field(default=None, ge=1)
    min_weight: float | None = None


class RerankFields(TextFields):
    """How pairs of a query and a document are scored."""

    batch_size: int | None = Field(default=None, ge=1, description="Most pairs in one batch.")
    activation: PlainText | None = None
    windows: PlainText | None = None
    window_overlap: int | None = Field(default=None, ge=0)


class LateInteractionFields(TextFields):
    """Which token vectors a text has."""

    dense: bool | None = None
    normalize: bool | None = None
    skip_special_tokens: bool | None = None


class MuveraFields(LateInteractionFields):
    """How token vectors become one vector of ``r_reps * 2 ** k_sim * dim_proj`` numbers."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "dimensions": "the length is r_reps * 2 ** k_sim * dim_proj; pass these",
    }

    k_sim: int = Field(
        default=5, ge=1, description="Hyperplanes of a repetition; they cut space into `2 ** k_sim` clusters."
    )
    dim_proj: int = Field(
        default=16, ge=1, description="Numbers that a cluster is projected to; at most those of a token vector."
    )
    r_reps: int = Field(default=20, ge=1, description="Repetitions.")
    random_seed: int = Field(
        default=42, ge=0, description="Seed of the random projection; an index and its queries need the same."
    )


class ImageFields(EngineFields):
    """The image half of a model of texts and images. The name of the field for its model is each framework's."""

    image_names: ClassVar[Mapping[str, str]] = {
        "cuda": "device",
        "specific_model_path": "image_model_path",
        "revision": "image_revision",
        "model_file": "image_model_file",
        "variant": "image_variant",
    }

    image_model_path: PathText | None = None
    image_revision: str | None = None
    image_model_file: str | None = None
    image_variant: str | None = None
    image_batch_size: int | None = Field(default=None, ge=1, description="Most images in one batch.")
    on_error: Literal["raise", "skip"] = Field(
        default="raise",
        description=(
            "What becomes of an image among several that cannot be used: `raise` ends the call; with `skip` its place "
            "in the results is `None`, and the log tells its index and the reason."
        ),
    )
    allow_urls: bool = False
    max_pixels: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)
    timeout_seconds: float | None = Field(default=None, gt=0)
