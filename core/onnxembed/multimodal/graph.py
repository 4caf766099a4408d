"""A graph that reads texts and pictures, fed in the form that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxembed.api.engine import LoadedGraph
from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.multimodal.conventions import GRIDS, PIXELS, Array
from onnxembed.text.graph import INTEGER_TYPES, PaddedTokens, TextGraph
from onnxembed.text.tokenizer import TextTokenizer

_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_PICTURE_INPUTS = frozenset({PIXELS, GRIDS})
_HALF = 10


@dataclass(frozen=True, slots=True)
class MultimodalGraph:
    """A loaded model that reads tokens and pictures.

    Attributes:
        loaded: The sessions, and what is known of their file.
        text: The part that reads tokens; pads, and does not run.
        output: Name of the output with the vectors.
    """

    loaded: LoadedGraph
    text: TextGraph
    output: str

    @property
    def needs_pictures(self) -> bool:
        """Whether a text cannot be run without some picture; a graph may hold a blank one itself."""
        return PIXELS in self.loaded.input_types

    @property
    def shares_blank(self) -> bool:
        """Whether one blank picture serves all texts of a batch: the two have batch sizes of their own."""
        ids, pixels = self._first_dimension("input_ids"), self._first_dimension(PIXELS)
        return pixels == 1 or (isinstance(pixels, str) and isinstance(ids, str) and pixels != ids)

    @property
    def lone_texts(self) -> bool:
        """Whether the graph was made for one text at a time."""
        return self._first_dimension("input_ids") == 1

    @property
    def lone_pages(self) -> bool:
        """Whether the graph was made for one picture at a time."""
        return self.lone_texts or self._first_dimension(PIXELS) == 1

    @property
    def dim(self) -> int | None:
        """Length of a vector, ``None`` when the graph leaves it open."""
        return self.loaded.file.dim(self.output)

    def run(
        self,
        padded: PaddedTokens,
        pictures: Mapping[str, Array],
        worker: int,  # noqa: ARG002  # the devices are chosen by what they have to do
    ) -> Array:
        """Run one batch to (batch, tokens, dim) in the graph's own type, on the device with least to do.

        Inputs made of pictures that the graph does not take are left out. An output of another form is a `ModelError`.
        """
        types = self.loaded.input_types
        feed = {"input_ids": padded.ids, "attention_mask": padded.mask, "token_type_ids": np.zeros_like(padded.ids)}
        feed = {name: array.astype(_integer(types[name]), copy=False) for name, array in feed.items() if name in types}
        for name, array in pictures.items():
            if name == PIXELS:
                feed[name] = array.astype(np.float16 if types.get(name) == _HALF else np.float32, copy=False)
            elif name in types:
                feed[name] = array.astype(_integer(types[name]), copy=False)
        with self.loaded.sessions.free() as session:
            (states,) = session.run([self.output], feed)
        if states.ndim != 3 or states.shape[:2] != padded.ids.shape:
            raise ModelError(
                f"the graph gives {self.output!r} of shape {states.shape} for {padded.ids.shape} tokens; expected one "
                "vector per token"
            )
        return states

    def _first_dimension(self, name: str) -> int | str | None:
        for info in self.loaded.file.inputs:
            if info.name == name and info.shape:
                return info.shape[0]
        return None


def open_graph(loaded: LoadedGraph, tokenizer: TextTokenizer, output: str | None) -> MultimodalGraph:
    """Combine a loaded graph with its tokenizer; ``output`` is ``None`` for the first output of three axes.

    A `ModelError` says that the graph takes or gives something else.
    """
    types = loaded.input_types
    if set(types) - _TEXT_INPUTS - _PICTURE_INPUTS or "input_ids" not in types:
        others = ", ".join(sorted((_TEXT_INPUTS | _PICTURE_INPUTS) - {"input_ids"}))
        raise ModelError(
            f"the graph takes {', '.join(sorted(types)) or 'nothing'}; expected input_ids and at most {others} "
            "besides. Is this a late-interaction model of texts and pictures?"
        )
    text = TextGraph(loaded.sessions, {name: types[name] for name in types if name in _TEXT_INPUTS}, tokenizer)
    return MultimodalGraph(loaded, text, loaded.file.token_output(output))


def takes_flat_patches(inputs: Sequence[TensorInfo]) -> bool:
    """Whether a graph takes the patches of all pictures in one row: pixels of two axes."""
    return any(info.name == PIXELS and info.shape is not None and len(info.shape) == 2 for info in inputs)


def _integer(element_type: int) -> type[np.integer[np.typing.NBitBase]]:
    return INTEGER_TYPES.get(element_type, np.int64)
