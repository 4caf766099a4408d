"""What no method of an adapter takes for a list: mappings and tables, whose items are names of columns."""

from __future__ import annotations

from collections import ChainMap, UserDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from llama_index.core.schema import TextNode

from langchain_onnxembed import (
    OnnxCrossEncoder,
    OnnxEmbeddings,
    OnnxLateInteractionRetriever,
    OnnxMultimodalEmbeddings,
    OnnxMuveraEmbeddings,
    OnnxRerank,
    OnnxSparse,
    OnnxSparseRetriever,
)
from llama_index.embeddings.onnxembed import OnnxEmbedding, OnnxMultiModalEmbedding
from llama_index.retrievers.onnxembed import OnnxSparseRetriever as LlamaSparseRetriever
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import LateInteractionTextEmbedding
from onnxembed.adapters.checks import as_items, as_list, positive
from onnxembed.errors import InputError, InputTypeError
from tests.fixtures.text_models import REAL_MODEL, small_clip, small_cross_encoder, small_model


class Frame:
    """What a DataFrame of any library looks like."""

    columns = ("text",)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return 3


def clip(adapter: Any) -> Any:
    text, image = small_clip()
    return adapter(model_path=text, image_model_path=image)


COLBERT = LateInteractionTextEmbedding(REAL_MODEL, dense=True, lazy_load=True)
METHODS: dict[str, Callable[[Any], Any]] = {
    "embed_documents": lambda given: OnnxEmbeddings(model=small_model()).embed_documents(given),
    "shown": lambda given: OnnxEmbeddings(model=small_model(), show_progress=True).embed_documents(given),
    "muvera": lambda given: OnnxMuveraEmbeddings(model=REAL_MODEL, dense=True).embed_documents(given),
    "token_count": lambda given: OnnxEmbeddings(model=small_model()).token_count(given),
    "sparse": lambda given: OnnxSparse().embed_documents(given),
    "compress": lambda given: OnnxRerank(model=small_cross_encoder()).compress_documents(given, "query"),
    "rerank": lambda given: OnnxRerank(model=small_cross_encoder()).rerank(given, "query"),
    "rerank_batch": lambda given: OnnxRerank(model=small_cross_encoder()).rerank_batch(given, [["a"]]),
    "rerank_lists": lambda given: OnnxRerank(model=small_cross_encoder()).rerank_batch(["a"], given),
    "score": lambda given: OnnxCrossEncoder(model=small_cross_encoder()).score(given),
    "embed_image": lambda given: clip(OnnxMultimodalEmbeddings).embed_image(given),
    "retriever": lambda given: OnnxSparseRetriever.from_texts(given),
    "delete": lambda given: OnnxSparseRetriever.from_documents([Document("x")]).delete(given),
    "late": lambda given: OnnxLateInteractionRetriever.from_documents(given, COLBERT),
    "text_batch": lambda given: OnnxEmbedding(model_name=small_model()).get_text_embedding_batch(given),
    "sparse_batch": lambda given: OnnxSparseEmbedding().get_text_embedding_batch(given),
    "image_batch": lambda given: clip(OnnxMultiModalEmbedding).get_image_embedding_batch(given),
    "nodes": lambda given: LlamaSparseRetriever.from_nodes(given),
    "delete_nodes": lambda given: LlamaSparseRetriever.from_nodes([TextNode(text="x")]).delete_nodes(given),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", [{"text": ["a"]}, UserDict(text=["a"]), ChainMap({"text": ["a"]}), Frame()], ids=type)
def test_mappings_and_tables_are_refused(method: str, given: Any) -> None:
    with pytest.raises(InputTypeError):
        METHODS[method](given)


def test_the_column_is_advised() -> None:
    with pytest.raises(InputTypeError, match=r"embed was given a Frame, expected a list of str; pass .* df\['text'\]"):
        as_list(Frame(), "embed", "str", "wrap it")
    with pytest.raises(InputTypeError, match=r"embed was given a str, expected a list of str; wrap it"):
        as_list(np.array("one"), "embed", "str", "wrap it")
    with pytest.raises(InputTypeError, match=r"embed was given a dict, expected a list of str; wrap it"):
        as_list({}, "embed", "str", "wrap it")


def test_other_containers_are_taken() -> None:
    assert as_list(np.array(["a", "b"]), "embed", "str", "") == ["a", "b"]
    assert as_list((text for text in "ab"), "embed", "str", "") == ["a", "b"]
    read = iter("ab")
    assert as_items(read, "embed", "str", "") is read
    assert OnnxEmbeddings(model=small_model()).embed_documents(np.array(["a", "b"])) == OnnxEmbeddings(  # type: ignore[arg-type]
        model=small_model()
    ).embed_documents(["a", "b"])


def test_counts_are_any_librarys_integers() -> None:
    number = positive(np.int64(3), "k")
    assert (number, type(number)) == (3, int)
    for wrong in (True, 1.0, "1"):
        with pytest.raises(InputTypeError, match=r"k is .*, expected an integer of 1 or more"):
            positive(wrong, "k")
    with pytest.raises(InputError, match="k=0: expected 1 or more"):
        positive(np.int8(0), "k")
