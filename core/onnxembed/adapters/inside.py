"""What lies inside a model of the core, for callers who have always reached there: fastembed's users do.

The known models as descriptions, the folder of the files, ONNX Runtime's session, the tokenizer, and the token limit
that fastembed reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.model import Model
from onnxembed.errors import InputError
from onnxembed.hub.files import FolderFiles
from onnxembed.spec import ModelSpec
from onnxembed.text.tokenizer_rules import configured_limit, positions_of

if TYPE_CHECKING:
    import tokenizers

__all__ = [
    "Model",
    "ModelSpec",
    "add_model",
    "catalogue_of",
    "fastembed_limit",
    "find_known",
    "folder_of",
    "session_of",
    "stop_words_of",
    "tokenizer_of",
]

SpecT = TypeVar("SpecT", bound=ModelSpec)


def catalogue_of(kind: type[Model[Any, SpecT, Any]]) -> tuple[SpecT, ...]:
    """The models of a kind that are always there, in their order, without those that users added."""
    models: tuple[SpecT, ...] = kind._registry().catalogue()
    return models


def find_known(kind: type[Model[Any, SpecT, Any]], name: str) -> SpecT | None:
    """The model of the catalogue with this very name, case aside; no alias, and none that a user added, counts."""
    if not isinstance(name, str):
        return None
    model: SpecT | None = kind._registry().row(name)
    return model


def add_model(kind: type[Model[Any, SpecT, Any]], model: SpecT) -> None:
    """Add a model for this process; one that was added under its name before gives way."""
    registry = kind._registry()
    known = next((one for one in registry.models() if one.name.casefold() == model.name.casefold()), None)
    if known == model:
        return
    if known is not None:
        registry.remove(model.name)
    registry.add(model)


def folder_of(model: Model[Any, Any, Any]) -> Path | None:
    """The folder of a model's files, which are found or fetched; ``None`` for BM25, which needs none."""
    base = getattr(_engine(model), "base", None)
    return None if base is None else Path(base.folder.path)


def session_of(model: Model[Any, Any, Any]) -> Any:
    """Load a model, and give ONNX Runtime's session of it.

    Args:
        model: One of the core; its weights are loaded.

    Returns:
        The session, the first where there are several.

    Raises:
        InputError: If the model is no graph: a table, or BM25.
    """
    if not model._settings.model.is_computed:
        raise InputError(f"{model.model_name} is no graph, so that it has no session of ONNX Runtime")
    first = next(iter(_engine(model).base.graph.sessions))
    return first.onnx


def tokenizer_of(model: Model[Any, Any, Any]) -> tokenizers.Tokenizer:
    """Copy a model's tokenizer.

    Args:
        model: One of the core; its files are found or fetched.

    Returns:
        A tokenizer that pads to the longest text of a call; the caller may change it.

    Raises:
        InputError: If the model has none.
    """
    engine = _engine(model)
    own = getattr(engine, "tokenizer", None)
    if own is None:
        raise InputError(f"{model.model_name} has no tokenizer")
    from tokenizers import Tokenizer

    used = own("document").tokenizer if callable(own) else own
    copy = Tokenizer.from_str(used.backend.to_str())
    rules = used.rules
    token = copy.id_to_token(rules.pad_id)
    copy.enable_padding(direction="left" if rules.pad_left else "right", pad_id=rules.pad_id, pad_token=token or "")
    return copy


def stop_words_of(model: Model[Any, Any, Any]) -> frozenset[str]:
    """The words that a BM25 model drops, as they are listed."""
    words: frozenset[str] = _engine(model).bm25.settings.stop_words()
    return words


def fastembed_limit(folder: Path) -> int | None:
    """Read the token limit that fastembed 0.9.1 takes from a model's files where it is another than the core's.

    It is the smaller valid one of ``model_max_length`` and ``max_length`` in ``tokenizer_config.json``, here at most
    the model's positions. The core asks ``sentence_bert_config.json`` first.

    Args:
        folder: The model's folder.

    Returns:
        The limit; ``None`` where the core's own rules give it, or no file states one.
    """
    files = FolderFiles(folder)
    if files.json_object("sentence_bert_config.json").get("max_seq_length") is None:
        return None
    limit = configured_limit(files.json_object("tokenizer_config.json"))
    positions = positions_of(files.json_object("config.json"))
    return limit if limit is None or positions is None else min(limit, positions)


def _engine(model: Model[Any, Any, Any]) -> Any:
    return model._engine
