"""Static models (model2vec): a table of token vectors, no graph.

A text's vector is the mean of the vectors of its known tokens, usually scaled to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.api.inputs import check_text
from onnxembed.errors import InputError, ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.text.pooling import normalize, shorten
from onnxembed.text.tokenizer import TextTokenizer, Tokens, read_tokenizer
from onnxembed.text.tokenizer_rules import TokenizerRules, read_json

Array = np.ndarray[Any, np.dtype[Any]]

_DEFAULT_MAX_LENGTH = 512


@dataclass(frozen=True, slots=True)
class StaticTable:
    """A loaded static model.

    Attributes:
        embeddings: (rows, dim) token vectors, float32 or narrower.
        weights: (tokens,) factor of each token, or ``None`` for 1.
        mapping: (tokens,) row of each token, or ``None`` when they are the same.
        unknown_id: Id of the unknown token, which is left out, or ``None``.
        tokenizer: The tokenizer, adding no special tokens.
    """

    embeddings: Array
    weights: Array | None
    mapping: Array | None
    unknown_id: int | None
    tokenizer: TextTokenizer

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(self.embeddings.shape[1])


def load_static(folder: Path, table: Path, max_length: int | None) -> StaticTable:
    """Load a static model.

    Args:
        folder: The model's folder, with ``tokenizer.json``.
        table: The safetensors file; it is mapped, not read.
        max_length: Tokens that a text is cut to, or ``None`` for 512.

    Returns:
        The model.

    Raises:
        ModelError: If the table is missing or does not fit the tokenizer.
    """
    backend = read_tokenizer(folder)
    rules = TokenizerRules(
        max_length=max_length or _DEFAULT_MAX_LENGTH,
        max_length_source="max_length=" if max_length else "the model2vec default",
        truncate_left=False,
        pad_left=False,
        pad_id=0,
    )
    tensors = SafetensorsFile(table)
    if "embeddings" not in tensors.names:
        raise ModelError(f"{table} has no tensor 'embeddings', only {', '.join(sorted(tensors.names)) or 'none'}")
    embeddings = tensors.tensor("embeddings")
    if embeddings.ndim != 2:
        raise ModelError(f"{table}: 'embeddings' has shape {list(embeddings.shape)}; expected (tokens, dim)")
    weights = tensors.tensor("weights") if "weights" in tensors.names else None
    mapping = tensors.tensor("mapping") if "mapping" in tensors.names else None
    tokens = backend.get_vocab_size(with_added_tokens=True)
    for name, column in (("weights", weights), ("mapping", mapping)):
        if column is not None and (column.ndim != 1 or len(column) < tokens):
            raise ModelError(
                f"{table}: {name!r} has shape {list(column.shape)}; expected ({tokens},) for the tokenizer"
            )
    if mapping is not None and len(mapping) and not (mapping.min() >= 0 and mapping.max() < len(embeddings)):
        raise ModelError(f"{table}: 'mapping' points outside the {len(embeddings)} rows of 'embeddings'")
    if mapping is None and len(embeddings) < tokens:
        raise ModelError(f"{table}: {len(embeddings)} rows for a tokenizer of {tokens} tokens")
    unknown = _unknown_id(backend, folder)
    return StaticTable(embeddings, weights, mapping, unknown, TextTokenizer(backend, rules, add_special_tokens=False))


def _unknown_id(backend: Any, folder: Path) -> int | None:
    """Id of the unknown token: a number in the file of Unigram models, which do not tell it, a text in all others."""
    if not hasattr(backend.model, "unk_token"):
        model = read_json(folder, "tokenizer.json").get("model")
        number = model.get("unk_id") if isinstance(model, dict) else None
        return number if isinstance(number, int) else None
    text = backend.model.unk_token
    found = backend.token_to_id(text) if isinstance(text, str) else None
    return found if isinstance(found, int) else None


class StaticFamily:
    """A static model as it is used in one call."""

    def __init__(self, table: StaticTable, *, prompt: str, truncate: bool, normalized: bool, dim: int | None) -> None:
        """Combine a loaded table with the choices of a call.

        Args:
            table: The model.
            prompt: Put before every text, verbatim.
            truncate: Whether long texts are cut or refused.
            normalized: Whether vectors are scaled to length 1.
            dim: Numbers to keep, or ``None`` for all.

        Raises:
            InputError: If ``dim`` is more than the table has.
        """
        if dim is not None and dim > table.dim:
            raise InputError(f"dim={dim}: the table has vectors of {table.dim} numbers; pass at most that")
        self._table = table
        self._prompt = prompt
        self._truncate = truncate
        self._normalized = normalized
        self._dim = dim

    def check(self, item: object, index: int) -> str:
        """Accept a string.

        Args:
            item: The item.
            index: Its position.

        Returns:
            The item.
        """
        return check_text(item, index)

    def size(self, item: str) -> int:
        """Characters of a text.

        Args:
            item: The text.

        Returns:
            Its length.
        """
        return len(item)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            Their tokens, unknown ones included.
        """
        texts = [self._prompt + item for item in items] if self._prompt else items
        return self._table.tokenizer.encode(texts, first_index, truncate=self._truncate)

    def cost(self, prepared: Tokens) -> int:
        """Tokens of a text.

        Args:
            prepared: The tokens.

        Returns:
            Their number.
        """
        return len(prepared.ids)

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:  # noqa: ARG002  # one table serves every worker
        """Average the rows of each text.

        Args:
            batch: Tokenised texts.
            worker: Not used.

        Returns:
            (batch, dim) float32; zeros for a text without a known token.
        """
        table = self._table
        ids = np.concatenate([tokens.ids for tokens in batch])
        owner = np.repeat(np.arange(len(batch)), [len(tokens.ids) for tokens in batch])
        if table.unknown_id is not None:
            known = ids != table.unknown_id
            ids, owner = ids[known], owner[known]
        rows = table.embeddings[ids if table.mapping is None else table.mapping[ids]].astype(np.float32, copy=False)
        if table.weights is not None:
            rows = rows * table.weights[ids].astype(np.float32, copy=False)[:, None]
        vectors = np.zeros((len(batch), table.dim), dtype=np.float32)
        if len(ids):
            present, starts, counts = np.unique(owner, return_index=True, return_counts=True)
            vectors[present] = np.add.reduceat(rows, starts, axis=0) / counts[:, None].astype(np.float32)
        if self._dim is not None and self._dim < table.dim:
            return shorten(vectors, self._dim, layer_norm=False, normalized=self._normalized)
        return normalize(vectors) if self._normalized else vectors
