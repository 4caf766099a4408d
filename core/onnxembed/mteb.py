"""Models of this package as `mteb` takes them: ``mteb.evaluate(MtebEncoder(...), tasks)``.

mteb is imported when an object is made: the extra ``onnxembed[mteb]``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import onnxembed
from onnxembed.api.inputs import describe_type
from onnxembed.api.options import EngineOptions
from onnxembed.errors import InputTypeError, MissingExtraError

if TYPE_CHECKING:
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
    from onnxembed.rerank.model import TextCrossEncoder
    from onnxembed.text.model import TextEmbedding

__all__ = ["MtebCrossEncoder", "MtebEncoder"]


class MtebEncoder:
    """A dense or late interaction model for mteb's tasks of texts (its ``EncoderProtocol``).

    Queries and documents of retrieval get the model's own prompts; texts of other tasks are embedded as they are.
    Scores are cosines for dense models, MaxSim for late interaction.

    Attributes:
        model: The model's object.
        mteb_model_meta: Its description for mteb, and the name under which results are kept.
    """

    model: TextEmbedding | LateInteractionTextEmbedding
    mteb_model_meta: Any

    def __init__(
        self,
        model: str | os.PathLike[str] | TextEmbedding | LateInteractionTextEmbedding,
        revision: str | None = None,
        *,
        device: str | None = None,
    ) -> None:
        """Open the model.

        Args:
            model: A name, a folder, or a repository as `open_model` takes them; or an object of `TextEmbedding` or
                `LateInteractionTextEmbedding`, with any of its options.
            revision: Branch, tag or commit of a repository, with a name.
            device: Where it runs, with a name: as the option ``cuda``.

        Raises:
            InputTypeError: The model is of another kind.
            MissingExtraError: mteb is not installed.
        """
        opened = _opened(model, revision, device)
        if not isinstance(opened, onnxembed.TextEmbedding | onnxembed.LateInteractionTextEmbedding):
            raise InputTypeError(
                f"model is {describe_type(opened)}; expected TextEmbedding or LateInteractionTextEmbedding"
            )
        self.model = opened
        late = isinstance(opened, onnxembed.LateInteractionTextEmbedding)
        self._late = late
        size = None if late else opened.embedding_size
        self.mteb_model_meta = _described(
            opened, "late-interaction" if late else "dense", "MaxSim" if late else "cosine", size
        )

    def encode(
        self,
        inputs: Iterable[Any],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        batch_size: int = 256,
        show_progress_bar: bool = False,
        num_proc: int | None = None,
    ) -> Any:
        """Embed texts.

        Args:
            inputs: Batches of mteb, each a dictionary with ``"text"``.
            task_metadata: Of the task; the same vectors for all tasks.
            hf_split: As above.
            hf_subset: As above.
            prompt_type: mteb's ``PromptType``: query, document, or ``None`` for neither.
            batch_size: Most texts of a batch.
            show_progress_bar: mteb's; nothing is shown.
            num_proc: mteb's; its processes read, none of them embeds.

        Returns:
            float32 (texts, dim); for late interaction a list of torch tensors (tokens, dim).
        """
        del task_metadata, hf_split, hf_subset, show_progress_bar, num_proc
        side = getattr(prompt_type, "value", prompt_type)
        embed = {"query": self.model.query_embed, "document": self.model.passage_embed}.get(side, self.model.embed)
        vectors = embed(list(_texts(inputs)), batch_size)
        if not self._late:
            import numpy as np

            return np.stack(list(vectors))
        import torch

        return [torch.from_numpy(matrix.copy()) for matrix in vectors]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Give the scores of each of ``embeddings1`` with each of ``embeddings2``: a torch tensor (n, m)."""
        from mteb import similarity_functions as functions

        return (functions.max_sim if self._late else functions.cos_sim)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Give the score of each of ``embeddings1`` with its partner: a torch tensor (n,)."""
        from mteb import similarity_functions as functions

        score = functions.pairwise_max_sim if self._late else functions.pairwise_cos_sim
        return score(embeddings1, embeddings2)


class MtebCrossEncoder:
    """A cross-encoder for mteb's reranking tasks (its ``CrossEncoderProtocol``).

    Attributes:
        model: The model's object.
        mteb_model_meta: Its description for mteb, and the name under which results are kept.
    """

    model: TextCrossEncoder
    mteb_model_meta: Any

    def __init__(
        self,
        model: str | os.PathLike[str] | TextCrossEncoder,
        revision: str | None = None,
        device: str | None = None,
    ) -> None:
        """Open the model.

        Args:
            model: A name, a folder, or a repository as `open_model` takes them; or a `TextCrossEncoder`.
            revision: Branch, tag or commit of a repository, with a name.
            device: Where it runs, with a name: as the option ``cuda``.

        Raises:
            InputTypeError: The model is of another kind.
            MissingExtraError: mteb is not installed.
        """
        opened = _opened(model, revision, device, "rerank")
        if not isinstance(opened, onnxembed.TextCrossEncoder):
            raise InputTypeError(f"model is {describe_type(opened)}; expected TextCrossEncoder")
        self.model = opened
        self.mteb_model_meta = _described(opened, "cross-encoder", None, None)

    def predict(
        self,
        inputs1: Iterable[Any],
        inputs2: Iterable[Any],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        batch_size: int = 64,
        show_progress_bar: bool = False,
        num_proc: int | None = None,
    ) -> Any:
        """Score pairs.

        Args:
            inputs1: Batches of mteb with the queries.
            inputs2: Batches of mteb with the documents, in the same order.
            task_metadata: Of the task; the same scores for all tasks.
            hf_split: As above.
            hf_subset: As above.
            prompt_type: mteb's.
            batch_size: Most pairs of a batch.
            show_progress_bar: mteb's; nothing is shown.
            num_proc: mteb's; its processes read, none of them embeds.

        Returns:
            float32 (pairs,).
        """
        del task_metadata, hf_split, hf_subset, prompt_type, show_progress_bar, num_proc
        import numpy as np

        pairs = list(zip(_texts(inputs1), _texts(inputs2), strict=True))
        return np.array(list(self.model.rerank_pairs(pairs, batch_size)), dtype=np.float32)


def _opened(model: Any, revision: str | None, device: str | None, kind: str | None = None) -> Any:
    try:
        import mteb  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mteb is not installed: pip install 'onnxembed[mteb]'") from error
    if not isinstance(model, str | os.PathLike):
        return model
    from onnxembed.opening import opened_lazily  # it loads all kinds

    return opened_lazily(EngineOptions(model, cuda=device, revision=revision), kind)


def _described(model: Any, model_type: str, similarity: str | None, size: int | None) -> Any:
    """Describe a model for mteb, whose names have an owner: a folder's is ``local``."""
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    name = str(model.model_name)
    if os.path.isdir(name):  # noqa: PTH112  # its last part is wanted, of any system's paths
        name = f"local/{os.path.basename(os.path.abspath(name))}"  # noqa: PTH100, PTH119
    facts = {
        "name": name,
        "revision": model.options["revision"] or getattr(model, "fingerprint", None),
        "model_type": [model_type],
        "similarity_fn_name": None if similarity is None else ScoringFunction(similarity),
        "embed_dim": size,
    }
    return ModelMeta.create_empty(facts)


def _texts(batches: Iterable[Any]) -> Iterator[str]:
    for batch in batches:
        yield from batch["text"]
