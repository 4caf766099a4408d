"""The fields of the adapters, and what their instances become when they are written down."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.fixtures.text_models import small_clip, small_cross_encoder, small_model
from tests.snapshots.milvus import with_milvus
from tests.snapshots.render import annotation_text, value_text, without_addresses, without_places
from tests.snapshots.signatures import public_classes
from tests.snapshots.source import LLAMA_INDEX, ours

_UNDEFINED = ", json_schema_input_type=PydanticUndefined"


def langchain() -> str:
    import langchain_onnxembed as adapter
    from onnxembed import LateInteractionTextEmbedding

    text, image = small_clip()
    with _no_environment(), with_milvus():
        classes = [*_classes(["langchain_onnxembed"])]
        token_model = LateInteractionTextEmbedding(small_model(), dense=True)
        instances: list[Any] = [
            adapter.OnnxCrossEncoder(model=small_cross_encoder()),
            adapter.OnnxEmbeddings(model=small_model(), query_prompt="query: ", batch_size=8),
            adapter.OnnxLateInteractionRerank(model=small_model(), dense=True),
            adapter.OnnxLateInteractionRetriever(embedding=token_model),
            adapter.OnnxMultimodalEmbeddings(model_path=text, image_model_path=image),
            adapter.OnnxMuveraEmbeddings(model=small_model(), dense=True),
            adapter.OnnxRerank(model=small_cross_encoder(), top_n=2),
            adapter.OnnxSparse(language="german"),
            adapter.OnnxSparseRetriever(embedding=adapter.OnnxSparse().engine),
        ]
        written = [line for one in instances for line in _langchain_instance(one)]
    return _without_folders("\n".join([*classes, *written]))


def llama_index() -> str:
    from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding, OnnxMuveraEmbedding
    from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank, OnnxRerank
    from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding

    text, image = small_clip()
    with _no_environment():
        instances: list[Any] = [
            OnnxEmbedding(model_name=small_model(), query_instruction="query: ", batch_size=8),
            OnnxLateInteractionRerank(model=small_model(), dense=True),
            OnnxMultiModalEmbedding(model_path=text, image_model_path=image),
            OnnxMuveraEmbedding(model_name=small_model(), dense=True),
            OnnxRerank(model=small_cross_encoder(), top_n=2),
            OnnxSparseEmbedding(language="german"),
        ]
        written = [line for one in instances for line in _llama_index_instance(one)]
        return _without_folders("\n".join([*_classes(LLAMA_INDEX), *written]))


def _no_environment() -> Any:
    """The variables that give defaults are not there."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ONNXEMBED_", "HF_", "LANGCHAIN"))
    }
    return mock.patch.dict(os.environ, kept, clear=True)


def _without_folders(text: str) -> str:
    for folder in (*small_clip(), small_cross_encoder(), small_model()):
        text = text.replace(folder, "<FOLDER>")
    return text


def _classes(packages: Iterable[str]) -> Iterator[str]:
    for name, cls in public_classes(packages):
        if issubclass(cls, BaseModel):
            yield f"== fields of {name}"
            yield from _fields(cls)
            yield ""


def _fields(cls: type[BaseModel]) -> Iterator[str]:
    declared = {name for base in ours(cls) for name in vars(base).get("__annotations__", {})}
    config = sorted(f"{name}={value_text(value)}" for name, value in cls.model_config.items())
    yield f"configured with {', '.join(config)}"
    for name, field in sorted(cls.model_fields.items()):
        if name in declared:
            annotation = annotation_text(field.annotation).replace(_UNDEFINED, "")
            yield f"{name}: {annotation}{_default(field)}{_details(field)}"
    yield f"the framework's: {', '.join(sorted(set(cls.model_fields) - declared)) or 'none'}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    if field.default_factory is not None:
        return f" = made by {value_text(field.default_factory)}"
    return f" = {value_text(field.default)}"


def _details(field: FieldInfo) -> str:
    told = {
        "alias": field.alias,
        "validation_alias": None if field.validation_alias == field.alias else field.validation_alias,
        "serialization_alias": None if field.serialization_alias == field.alias else field.serialization_alias,
        "exclude": field.exclude,
        "frozen": field.frozen,
        "repr": None if field.repr else False,
    }
    parts = [f"{name}={value_text(value)}" for name, value in told.items() if value is not None]
    parts += [without_places(repr(one)) for one in field.metadata]
    return f"  [{'; '.join(parts)}]".replace(_UNDEFINED, "") if parts else ""


def _langchain_instance(one: Any) -> Iterator[str]:
    from langchain_core.load.serializable import Serializable

    name = type(one).__name__
    if isinstance(one, BaseModel):
        yield from _written(f"{name}.model_dump()", one.model_dump())
        yield from _written(f"{name}.model_dump(by_alias=True), the names", sorted(one.model_dump(by_alias=True)))
    if isinstance(one, Serializable):
        yield from _written(f"{name}.to_json()", one.to_json())
        yield from _written(f"{name}.is_lc_serializable()", one.is_lc_serializable())
        yield from _written(f"{name}.lc_attributes", one.lc_attributes)
        yield from _written(f"{name}.lc_secrets", one.lc_secrets)
    yield from _written(f"repr of {name}", repr(one))


def _llama_index_instance(one: Any) -> Iterator[str]:
    name = type(one).__name__
    yield from _written(f"{name}.class_name()", one.class_name())
    yield from _written(f"{name}.to_dict()", one.to_dict())
    if hasattr(one, "to_payload"):
        with mock.patch.object(type(one), "dimension", 0) if hasattr(type(one), "dimension") else mock.MagicMock():
            yield from _written(f"{name}.to_payload()", one.to_payload())


def _written(title: str, value: Any) -> Iterator[str]:
    yield f"== {title}"
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, default=value_text)
    yield without_addresses(text)
    yield ""
