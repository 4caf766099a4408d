"""Dense text embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llama_index.core.base.embeddings.base import Embedding
from pydantic import Field

from llama_index.embeddings.onnxembed._embedding import VectorEmbedding
from llama_index.embeddings.onnxembed._engine import COMMON_NAMES
from llama_index.embeddings.onnxembed._options import ModelName, PlainText

if TYPE_CHECKING:
    from onnxembed import TextEmbedding


class OnnxEmbedding(VectorEmbedding):
    """Dense text embeddings on this machine, through ONNX Runtime.

    Everything that the constructor takes is a field, so that ``to_dict``, ``from_dict`` and pickling lose nothing;
    the weights are never part of them. Equal settings share one set of weights in a process.

    An ``embeddings_cache`` may be shared between models: vectors are filed by model, settings and role, so a query
    never finds the vector of a document with the same text.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.core import Settings
        from llama_index.embeddings.onnxembed import OnnxEmbedding

        Settings.embed_model = OnnxEmbedding(model_name="sentence-transformers/all-MiniLM-L6-v2")
        ```

    Attributes:
        model_name: Name of the model, or a local folder.
        embed_batch_size: Texts handed over at a time. The engine sorts them by length and cuts its own batches, so a
            larger window is faster.
        embeddings_cache: A key-value store for vectors. It is no setting of the model: ``to_dict`` leaves it out.
        cache_dir: Where the model's files are kept; by default the usual cache of the Hugging Face Hub.
        local_files_only: Never use the network.
        revision: The revision of the model's repository.
        model_path: A local folder with the model's files.
        device: Where the model runs.
        device_ids: The devices to share the work, by number.
        providers: ONNX Runtime execution providers, names or ``(name, options)``; instead of ``device``.
        threads: Threads for one inference.
        parallel: Batches run at once; 0 means as many as there are processors, ``None`` one a device.
        batch_size: The most texts in one batch.
        max_length: The longest text, in tokens; longer ones are cut.
        truncate: Whether longer texts are cut; otherwise they are refused.
        dimensions: Length of the vectors, where the model allows to shorten them.
        normalize: Whether vectors are scaled to length 1; ``None`` does as the model's authors do.
        pooling: How token vectors become one vector, where the model's own way is not wanted.
        query_instruction: What is put, verbatim and with no space added, before a query. ``None`` takes what the
            model's authors publish, an empty string puts nothing.
        text_instruction: The same before a text.
        task_id: The task, for models that know several.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps memory for reuse.
        session_options: Further options of the ONNX Runtime session.
        token_budget: The most tokens in one batch.
        lazy_load: Whether the model is loaded on first use; otherwise in the constructor.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dim": "dimensions",
        "normalize": "normalize",
        "pooling": "pooling",
        "query_prompt": "query_instruction",
        "passage_prompt": "text_instruction",
        "task_id": "task_id",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
        "to change what precedes a text pass text_instruction=, the document prompt (an empty string for none)",
        "document_prompt": "here it is called 'text_instruction'",
        "model": "here it is called 'model_name'",
    }

    model_name: ModelName = "BAAI/bge-small-en-v1.5"
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    pooling: PlainText | None = None
    query_instruction: str | None = None
    text_instruction: str | None = None
    task_id: int | str | None = None

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxEmbedding"

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
    def _cache_key(self) -> str:
        return self.engine.fingerprint

    def _embed(self, texts: list[str], side: Literal["query", "passage"]) -> list[Embedding]:
        parallel = self.parallel if len(texts) > 1 else None
        vectors = self.engine.embed_to_array(texts, batch_size=self.batch_size, parallel=parallel, side=side)
        return vectors.tolist()
