"""Static models (model2vec): a table of token vectors, no graph.

A text's vector is the mean of the vectors of its known tokens, usually scaled to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import InputError, ModelError
from onnxembed.foreign import reading
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.hub.content import content_digest
from onnxembed.hub.files import FolderFiles
from onnxembed.runtime.mapped_file import MappedFile
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.graph import check_finite
from onnxembed.text.pooling import finish_vectors
from onnxembed.text.stages import Apply
from onnxembed.text.tokenizer import TextTokenizer, Tokens, read_tokenizer
from onnxembed.text.tokenizer_rules import TokenizerRules

Array = np.ndarray[Any, np.dtype[Any]]

_DEFAULT_MAX_LENGTH = 512
_UNLIMITED = (1 << 31) - 1
_WEIGHT = "embedding.weight"  # what sentence-transformers calls the table
# Of the largest vocabularies; a quarter of a million tokens take 35 MB.
_MOST_TOKENIZER_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class StaticTable:
    """A loaded static model.

    Attributes:
        embeddings: (rows, dim) token vectors, float32 or narrower.
        weights: (tokens,) factor of each token, or ``None`` for 1.
        mapping: (tokens,) row of each token, or ``None`` when they are the same.
        unknown_id: Id of the unknown token, which is left out, or ``None``.
        tokenizer: The tokenizer, adding no special tokens.
        file: The file that the arrays are mapped from.
    """

    embeddings: Array
    weights: Array | None
    mapping: Array | None
    unknown_id: int | None
    tokenizer: TextTokenizer
    file: MappedFile

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(self.embeddings.shape[1])


def load_static(folder: Path, table: Path, max_length: int | None, *, counts_unknown: bool = False) -> StaticTable:
    """Load a static model: ``tokenizer.json`` from the folder, and the safetensors file, which is mapped.

    Texts are cut to ``max_length`` tokens, or to 512; with ``counts_unknown``, as sentence-transformers has it, only
    where ``tokenizer.json`` says so, and unknown tokens count.
    """
    path = folder / TOKENIZER_FILE
    backend = read_tokenizer(folder)
    limit, source = _DEFAULT_MAX_LENGTH, "the model2vec default"
    if counts_unknown:
        limit, source = (backend.truncation or {}).get("max_length", _UNLIMITED), TOKENIZER_FILE
    rules = TokenizerRules(
        max_length=max_length or limit,
        max_length_source="max_length=" if max_length else source,
        truncate_left=False,
        pad_left=False,
        pad_id=0,
    )
    file = MappedFile(table, content_digest(table) if table.is_file() else None)
    tensors = SafetensorsFile(table)
    name = _WEIGHT if counts_unknown and _WEIGHT in tensors.names else "embeddings"
    if name not in tensors.names:
        raise ModelError(f"{table} has no tensor 'embeddings', only {', '.join(sorted(tensors.names)) or 'none'}")
    unknown = sorted(set(tensors.names) - {name, "weights", "mapping"})
    if unknown:
        raise ModelError(f"{table} holds tensors that are not known here: {', '.join(unknown)}")
    embeddings = tensors.tensor(name)
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
    with reading(path):
        tokenizer = TextTokenizer(backend, rules, add_special_tokens=False)
        left_out = None if counts_unknown else _unknown_id(backend, folder)
        return StaticTable(embeddings, weights, mapping, left_out, tokenizer, file)


def _unknown_id(backend: Any, folder: Path) -> int | None:
    """Find the id of the unknown token: a number in the file of Unigram models, a text in all others."""
    if not hasattr(backend.model, "unk_token"):
        model = FolderFiles(folder).json_object(TOKENIZER_FILE, _MOST_TOKENIZER_BYTES).get("model")
        number = model.get("unk_id") if isinstance(model, dict) else None
        return number if isinstance(number, int) else None
    text = backend.model.unk_token
    found = backend.token_to_id(text) if isinstance(text, str) else None
    return found if isinstance(found, int) else None


class StaticWork:
    """The work of one call with a static model."""

    def __init__(
        self,
        table: StaticTable,
        *,
        prompt: str,
        truncate: bool,
        normalized: bool,
        dim: int | None,
        steps: Sequence[Apply] = (),
    ) -> None:
        """Combine a loaded table with the choices of a call; ``dim`` is at most that of the table.

        ``steps`` are what is done to the vectors before they are cut and scaled.
        """
        if dim is not None and dim > table.dim and not steps:
            raise InputError(f"dim={dim}: the table has vectors of {table.dim} numbers; pass at most that")
        self._table = table
        self._prompt = prompt
        self._truncate = truncate
        self._normalized = normalized
        self._dim = dim
        self._steps = steps

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt; unknown tokens are among them."""
        texts = [self._prompt + item for item in items] if self._prompt else items
        return self._table.tokenizer.encode(texts, first_index, truncate=self._truncate)

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Tokens of each text."""
        return [len(tokens.ids) for tokens in prepared]

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:  # noqa: ARG002  # one table serves every worker
        """Average the rows of each text: (batch, dim) float32, zeros for a text without a known token."""
        self._table.file.check()
        vectors = self._averaged(batch)
        check_finite(vectors, batch)
        return vectors

    def _averaged(self, batch: Sequence[Tokens]) -> Array:
        table = self._table
        ids = np.concatenate([tokens.ids for tokens in batch])
        owner = np.repeat(np.arange(len(batch)), [len(tokens.ids) for tokens in batch])
        if table.unknown_id is not None:
            known = ids != table.unknown_id
            ids, owner = ids[known], owner[known]
        known_rows = len(table.embeddings if table.mapping is None else table.mapping)
        if len(ids) and ids.max() >= known_rows:
            at = next(tokens for tokens in batch if len(tokens.ids) and tokens.ids.max() >= known_rows)
            raise table.tokenizer.without_row(int(at.ids.max()), at.index)
        rows = table.embeddings[ids if table.mapping is None else table.mapping[ids]].astype(np.float32, copy=False)
        if table.weights is not None:
            rows = rows * table.weights[ids].astype(np.float32, copy=False)[:, None]
        vectors = np.zeros((len(batch), table.dim), dtype=np.float32)
        if len(ids):
            present, starts, counts = np.unique(owner, return_index=True, return_counts=True)
            vectors[present] = np.add.reduceat(rows, starts, axis=0) / counts[:, None].astype(np.float32)
        return finish_vectors(vectors, self._steps, self._dim, normalized=self._normalized)
