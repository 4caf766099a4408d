"""Dense text embeddings for LangChain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_core.embeddings import Embeddings
from pydantic import Field

from langchain_onnxembed._engine import COMMON_NAMES, EngineModel, as_list
from langchain_onnxembed._options import ModelName, PlainText

if TYPE_CHECKING:
    from onnxembed import TextEmbedding

_SINGLE = "wrap a single text in a list, or use embed_query for a query"


class OnnxEmbeddings(EngineModel, Embeddings):
    """Onnx embedding model integration.

    Texts become vectors on this machine, through ONNX Runtime; nothing is sent anywhere.

    Setup:
        Install `langchain-onnxembed`. The model's files come from the Hugging Face Hub on first use and are cached;
        from then on no network is needed.

        ```bash
        pip install -U langchain-onnxembed
        ```

    Key init args:
        model: str
            Name of the model, or a local folder; `model_name` is the same.
        device: Literal["auto", "cpu", "cuda"]
            Where it runs.
        dimensions: int | None
            Shorter vectors, for models trained so that they can be cut (Matryoshka).
        query_prompt, document_prompt: str | None
            What is put, verbatim and with no space added, before a query and before a document. `None` takes what the
            model's authors publish, an empty string puts nothing.
        batch_size: int
            The most texts in one batch; texts of similar length share one.
        local_files_only: bool
            Never use the network.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxEmbeddings

        embeddings = OnnxEmbeddings(model="sentence-transformers/all-MiniLM-L6-v2")
        ```

    Embed single text:
        ```python
        vector = embeddings.embed_query("hello world")
        print(len(vector), vector[:3])
        ```

        ```
        384 [-0.03447, 0.03102, 0.00673]
        ```

    Embed multiple texts:
        ```python
        vectors = embeddings.embed_documents(["hello world", "a second text"])
        print(len(vectors), len(vectors[0]))
        ```

        ```
        2 384
        ```

    Async:
        ```python
        vector = await embeddings.aembed_query("hello world")
        vectors = await embeddings.aembed_documents(["hello world", "a second text"])
        ```

        The event loop stays free: the work runs on a small pool that belongs to the model, so that many requests at
        once do not fight over the processor.

    Cache of vectors:
        ```python
        from langchain_classic.embeddings import CacheBackedEmbeddings

        cached = CacheBackedEmbeddings.from_bytes_store(embeddings, store, namespace=embeddings.cache_namespace)
        ```

        The namespace changes with everything that changes a vector. That class can cache queries too; give it a store
        of their own for that, because in a shared one a query finds the vector of the document with the same text.

    Attributes:
        model_name: Name of the model, or a local folder.
        cache_dir: Where the model's files are kept; by default the environment variable `ONNXEMBED_CACHE`, else the
            usual cache of the Hugging Face Hub.
        local_files_only: Never use the network.
        revision: The revision of the model's repository.
        model_path: A local folder with the model's files.
        device: Where the model runs.
        device_ids: The devices to share the work, by number.
        providers: ONNX Runtime execution providers, names or `(name, options)`; instead of `device`.
        threads: Threads for one inference.
        parallel: Batches run at once; 0 means as many as there are processors, `None` one a device.
        batch_size: The most texts in one batch.
        max_length: The longest text, in tokens; longer ones are cut.
        truncate: Whether longer texts are cut; otherwise they are refused.
        dimensions: Length of the vectors, where the model allows to shorten them.
        normalize: Whether vectors are scaled to length 1; `None` does as the model's authors do.
        pooling: How token vectors become one vector, where the model's own way is not wanted.
        query_prompt: What is put before a query.
        document_prompt: What is put before a document.
        task_id: The task, for models that know several.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps memory for reuse.
        session_options: Further options of the ONNX Runtime session.
        token_budget: The most tokens in one batch.
        lazy_load: Whether the model is loaded on first use; otherwise in the constructor.
        show_progress: Whether a progress bar is shown while documents are embedded.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dim": "dimensions",
        "normalize": "normalize",
        "pooling": "pooling",
        "query_prompt": "query_prompt",
        "passage_prompt": "document_prompt",
        "task_id": "task_id",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
        "to change what precedes a document pass document_prompt= (an empty string for none)",
        "text_instruction": "here it is called 'document_prompt'",
        "query_instruction": "here it is called 'query_prompt'",
    }

    model_name: ModelName = Field(default="BAAI/bge-small-en-v1.5", alias="model")
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    pooling: PlainText | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    task_id: int | str | None = None
    show_progress: bool = False

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> TextEmbedding:
        from onnxembed import TextEmbedding

        return TextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> TextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: TextEmbedding = self._open(lazy_load=True)
        return engine

    @property
    def dimension(self) -> int:
        """Length of the vectors, known without loading the model."""
        return self.engine.embedding_size

    @property
    def cache_namespace(self) -> str:
        """A key that changes with everything that changes a vector, for caches of vectors."""
        return self.engine.fingerprint

    def token_count(self, texts: str | list[str]) -> int:
        """Count tokens as the model does, for a text splitter's ``length_function``.

        Args:
            texts: One text or several.

        Returns:
            The tokens of all of them.
        """
        return self.engine.token_count(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.

        Returns:
            One vector a text, in the same order.
        """
        texts = as_list(texts, "embed_documents", "str", _SINGLE)
        if not texts:
            return []
        if self.show_progress:
            return self._embed_visibly(texts)
        return self._embed(texts, "passage")

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that others are searched with.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        return self._embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.

        Returns:
            One vector a text, in the same order.
        """
        texts = as_list(texts, "embed_documents", "str", _SINGLE)
        return await self.engine.run_async(lambda: self.embed_documents(texts)) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        return await self.engine.run_async(lambda: self.embed_query(text))

    def _embed(self, texts: list[str], side: Literal["query", "passage"]) -> list[list[float]]:
        parallel = self.parallel if side == "passage" else None
        vectors = self.engine.embed_to_array(texts, batch_size=self.batch_size, parallel=parallel, side=side)
        return vectors.tolist()

    def _embed_visibly(self, texts: list[str]) -> list[list[float]]:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        vectors = self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=self.parallel)
        bar = tqdm(vectors, total=len(texts), desc="Embedding documents", unit="document")
        return [vector.tolist() for vector in bar]
