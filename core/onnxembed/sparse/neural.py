"""The backend of models that run as a graph."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import check_text
from onnxembed.api.options import engine_options
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.sparse.backend import SparseCall
from onnxembed.sparse.options import KINDS_OF_OPTION, GraphChoices
from onnxembed.sparse.spec import SparseModel

if TYPE_CHECKING:
    from onnxembed.runtime.bounded_pool import BoundedPool
    from onnxembed.sparse.engine import SparseEngine
    from onnxembed.sparse.vector import SparseEmbedding


class NeuralBackend:
    """A model that runs as a graph, with the choices of one facade."""

    def __init__(self, settings: EngineSettings[SparseModel], choices: GraphChoices, token_budget: int | None) -> None:
        """Combine settings; nothing is loaded.

        Args:
            settings: What to load and how to run it.
            choices: What becomes of its output.
            token_budget: Tokens of a padded batch, or ``None`` for the engine's default.
        """
        self._choices = choices
        self._token_budget = token_budget
        self._handle: EngineHandle[EngineSettings[SparseModel], SparseEngine] = EngineHandle(settings, _make_engine)

    @property
    def _engine(self) -> SparseEngine:
        return self._handle.get()

    @property
    def model(self) -> SparseModel:
        """The model's description."""
        return self._handle.settings.model

    @property
    def requires_idf(self) -> bool:
        """Whether the search engine has to bring in the inverse document frequency."""
        return self.model.requires_idf

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self._engine.pool

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        return self._engine.loaded

    @property
    def max_length(self) -> int | None:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length

    @property
    def options(self) -> dict[str, Any]:
        """The facade's arguments, defaults filled in; those of other kinds of models are ``None``."""
        chosen = {**asdict(self._choices), "token_budget": self._token_budget}
        own = {
            name: chosen.get(name) if self.model.kind in kinds else None
            for name, kinds in KINDS_OF_OPTION.items()
            if name != "max_length"
        }
        return {**engine_options(self._handle.settings), "truncate": self._choices.truncate, **own}

    @property
    def fingerprint(self) -> str:
        """Made of the files and of all options that count. Finds the files; loads no weights."""
        from onnxembed.hub.fingerprint import folder_fingerprint

        model = self.model
        folder = folder_fingerprint(self._engine.folder.path, model.model_file, model.additional_files)
        own = {
            name: value
            for name, value in asdict(self._choices).items()
            if name == "truncate" or model.kind in KINDS_OF_OPTION[name]
        }
        relevant = (model.kind.value, model.output, own, self.max_length)
        return hashlib.sha256(f"{folder}\0{relevant!r}".encode()).hexdigest()[:32]

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._engine.load()

    def embed(self, call: SparseCall) -> Iterator[SparseEmbedding]:
        """Load what the call needs, and begin.

        Args:
            call: The call.

        Returns:
            An iterator of one vector a text.
        """
        from onnxembed.api.engine import nothing, start

        if nothing(call.texts):
            return iter(())
        engine = self._engine
        return start(
            engine.runner(query=call.query),
            engine.family(self._choices, query=call.query),
            call.texts,
            batch_size=call.batch_size,
            parallel=call.parallel,
            budget=self._token_budget,
        )

    def count(self, texts: Iterable[object], batch_size: int) -> int:
        """Count tokens, special tokens included and each text cut to `max_length`; loads no weights.

        Args:
            texts: The texts.
            batch_size: Texts counted at once.

        Returns:
            The sum.
        """
        from itertools import islice

        checked = (check_text(text, index) for index, text in enumerate(texts))
        total = 0
        while chunk := list(islice(checked, batch_size)):
            total += self._engine.tokenizer.count(chunk)
        return total


def _make_engine(settings: EngineSettings[SparseModel]) -> SparseEngine:
    from onnxembed.sparse.engine import SparseEngine

    return SparseEngine(settings)
