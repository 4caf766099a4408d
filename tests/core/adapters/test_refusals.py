"""Constructors raise this package's errors as they are, in the adapter's words."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import onnxembed.errors as errors
from langchain_onnxembed import OnnxEmbeddings, OnnxLateInteractionRerank, OnnxMultimodalEmbeddings, OnnxRerank
from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding
from llama_index.postprocessor.onnxembed_rerank import OnnxRerank as LlamaRerank
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed.adapters.refusals import Refusing

ADAPTERS = [
    *(OnnxEmbeddings, OnnxRerank, OnnxLateInteractionRerank, OnnxMultimodalEmbeddings),
    *(OnnxEmbedding, OnnxMultiModalEmbedding, LlamaRerank, OnnxSparseEmbedding),
]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    ("arguments", "kind", "builtin", "message"),
    [
        ({"model_path": "/nowhere"}, errors.ModelNotFoundError, OSError, r"^model_path='/nowhere'"),
        ({"model": "a/typo-of-nothing"}, errors.UnknownModelError, ValueError, "a/typo-of-nothing"),
        ({"providers": ["NoProvider"]}, errors.ProviderError, ValueError, "NoProvider"),
        ({"device": "tpu"}, errors.InputError, ValueError, r"^device='tpu'"),
        ({"threads": 0}, errors.InputError, ValueError, r"threads=0: .*greater than or equal to 1"),
        ({"batch_size": "many"}, errors.InputError, ValueError, r"batch_size='many': "),
        ({"nonsense": 1}, errors.InputError, ValueError, "has no argument 'nonsense'"),
        ({"session_options": {"no_such_option": 1}}, errors.OnnxEmbedError, Exception, "no_such_option"),
    ],
)
def test_the_cores_classes_come_out_as_they_are(
    adapter: Any, arguments: dict[str, Any], kind: type[Exception], builtin: type[Exception], message: str
) -> None:
    if "model" in arguments and "model" not in adapter.model_fields and "langchain" not in adapter.__module__:
        arguments = {"model_name": arguments["model"]}
    with pytest.raises(kind, match=message) as caught:
        adapter(**arguments)
    assert isinstance(caught.value, builtin)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, Exception)
    assert not isinstance(caught.value, ValidationError)


def test_several_wrong_arguments_are_all_named() -> None:
    with pytest.raises(errors.InputError, match=r"^OnnxEmbeddings: .*threads=0.*; .*parallel=-1"):
        OnnxEmbeddings(threads=0, parallel=-1)


def test_a_missing_argument_is_named() -> None:
    class Strict(Refusing):
        needed: int
        path: int | bool = 0

    with pytest.raises(errors.InputError, match=r"^Strict: needed: Field required$"):
        Strict()  # type: ignore[call-arg]
    with pytest.raises(errors.InputError, match=r"path='x': Input should be a valid integer.*, or .*boolean"):
        Strict(needed=1, path="x")  # type: ignore[arg-type]


def test_validation_of_data_stays_pydantics() -> None:
    class Settings(BaseModel):
        embeddings: OnnxEmbeddings

    with pytest.raises(ValidationError):
        Settings.model_validate({"embeddings": {"threads": 0}})
    made = Settings.model_validate({"embeddings": {"model": "BAAI/bge-small-en-v1.5"}})
    assert made.embeddings == OnnxEmbeddings()
    assert made.embeddings.model_fields_set == {"model_name"}


def test_the_signature_names_the_fields() -> None:
    parameters = inspect.signature(OnnxEmbedding).parameters
    assert {"model_name", "threads", "text_instruction", "embed_batch_size"} <= set(parameters)


def test_devices_as_frameworks_pass_them() -> None:
    class device:  # as PyTorch's
        def __str__(self) -> str:
            return "cpu"

    assert OnnxEmbeddings(device=device()).device == "cpu"  # type: ignore[arg-type]
    assert OnnxEmbeddings(device=False).device == "cpu"  # type: ignore[arg-type]
