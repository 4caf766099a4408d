"""What ``precision="auto"`` has found is checked on a few texts before it is used, once for each model and precision.

The graph of single precision and the one that was chosen read the same texts, or pictures where the model reads those.
What falls below `AUTO_COSINE`, or cannot be compared, is computed in single precision. The result is remembered beside
the graphs that are made here, under the content of the model's files.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.api.kept_graph import COMPILER_VERSION
from onnxembed.errors import OnnxEmbedError
from onnxembed.hub.disk import write_text
from onnxembed.hub.settings import own_folder
from onnxembed.runtime import cuda
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.plugins import available_providers
from onnxembed.runtime.precision import GraphNumbers, Precision
from onnxembed.runtime.precision_choice import Choice, placed, session_entries
from onnxembed.runtime.provider_traits import graph_form
from onnxembed.runtime.providers import place
from onnxembed.runtime.session import Session, SessionSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxembed.api.settings import EngineSettings
    from onnxembed.formats.onnx_graph import TensorInfo

logger = logging.getLogger("onnxembed.models")

AUTO_COSINE = 0.99
"""The least cosine to single precision, over `TEXTS`, with which ``precision="auto"`` takes another one."""
TEXTS = (
    "How long does it take to travel from the old harbour to the new railway station?",
    "vector search",
    "The committee approved the budget of 1,250,000 euros on 14 March 2019, after a debate of six hours.",
    "def mean(values): return sum(values) / len(values)",
    "Die Bibliothek schließt heute früher als sonst, weil am Abend ein Konzert stattfindet.",
    "Aspirin reduces fever, pain and inflammation; in small doses it keeps the blood from clotting, which lowers the "
    "risk of a heart attack for those who have already had one.",
    "东京的春天有很多樱花。",
    "no",
)
"""Texts of several kinds and lengths."""
_VERSION = 1
_TOKENS = 32
"""Every model reads that many."""
_PICTURES, _SIDE, _CHANNELS = 4, 224, 3
_WHOLE = {6: np.int32, 7: np.int64}
_FLOATS = frozenset({1, 10, 11})
_FEWEST_NUMBERS = 8
"""Results of fewer numbers are scores, whose angle says nothing: all of them are compared as one vector."""
_VECTORS = "sentence_embedding"
_ROUNDING = 1e-6


class _NotComparedError(Exception):
    """Why two graphs cannot be compared."""


def checked(settings: EngineSettings[Any]) -> EngineSettings[Any]:
    """Settle the precision of settings whose files are here."""
    choice = settings.choice
    if choice.precision is not Precision.FP32:
        choice = _checked(settings)
    logger.info("%s: precision %r is used: %s", settings.model.name, choice.precision.value, choice.why)
    return replace(settings, choice=choice, automatic=False, proposed=settings.choice)


def _checked(settings: EngineSettings[Any]) -> Choice:
    choice, name = settings.choice, settings.choice.precision.value
    try:
        least = _remembered(settings)
    except _NotComparedError as reason:
        return Choice(why=f"{name!r} cannot be compared with single precision ({reason})")
    except OnnxEmbedError as error:
        return Choice(why=f"{name!r} does not run here ({error})")
    said = f"its least cosine to single precision on {len(TEXTS)} texts is {least:.5f}"
    if not least >= AUTO_COSINE:  # so is what is no number
        return Choice(why=f"{name!r} is too far away: {said}, below {AUTO_COSINE}")
    return replace(choice, why=f"{choice.why}, and {said}")


def _remembered(settings: EngineSettings[Any]) -> float:
    """The least cosine, measured unless it is remembered."""
    model, choice = settings.model, settings.choice
    provider = _placement(settings).providers[0][0]
    parts = (_VERSION, COMPILER_VERSION, settings.content, model.recipe, choice.precision, choice.numbers, provider)
    name = hashlib.sha256(repr((*parts, settings.accept_unknown)).encode()).hexdigest()[:32]
    file = own_folder(settings.store) / "precisions" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = float(json.loads(file.read_text("utf-8"))["least_cosine"])
        if -1 - _ROUNDING <= known <= 1 + _ROUNDING:  # what else stands there was not written here
            return known
    least = _measured(settings)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({"least_cosine": least}))
    return least


def _measured(settings: EngineSettings[Any]) -> float:
    near = _results(settings, settings.choice)  # first, since a device that does not start has no fallback for it
    exact = _results(settings, Choice())
    return min(least_agreement([one[name] for one in exact], [one[name] for one in near]) for name in exact[0])


def _results(settings: EngineSettings[Any], choice: Choice) -> list[dict[str, NDArray[Any]]]:
    """What a graph gives for each text, one at a time."""
    folder = settings.folder
    if folder is None:
        raise _NotComparedError("its files are not here")
    (placement,) = placed([_placement(settings)], choice)
    form = graph_form(placement)
    with prepared_graph(folder, settings.model, settings.store, settings.accept_unknown, choice.numbers, form) as file:
        entries = session_entries(choice, placement.providers[0][0])
        options = SessionSettings(placement, settings.threads, (*settings.session_options, *entries.items()))
        session = Session(file.path, options, usable_cpus(), file.data)
        names = _outputs(file)
        return [
            dict(zip(names, session.run(names, feed), strict=True))
            for feed in _feeds(file.inputs, folder.path, settings.model.companion_file)
        ]


def _placement(settings: EngineSettings[Any]) -> Any:
    if settings.choice.numbers in (GraphNumbers.INT8, GraphNumbers.INT7):
        return place(replace(settings.request, providers=None, device_ids=()), (), warn=False)[0]
    available = available_providers(import_onnxruntime(), settings.request)
    return place(settings.request, available, warn=False, device_found=cuda.driver().found)[0]


def _outputs(file: GraphFile) -> list[str]:
    names = [info.name for info in file.outputs if info.element_type in _FLOATS]
    return [_VECTORS] if _VECTORS in names else names


def _feeds(inputs: Sequence[TensorInfo], folder: Path, companion: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    if len(inputs) == 1 and len(inputs[0].shape or ()) == 4 and inputs[0].element_type in _FLOATS:
        yield from _pictures(inputs[0])
        return
    if not companion.endswith("tokenizer.json"):
        raise _NotComparedError("it reads more than texts or pictures")
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / companion))
    except Exception as error:  # the library raises plain ones
        raise _NotComparedError(f"its tokenizer does not load: {error}") from error
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.no_padding()
    for encoding in tokenizer.encode_batch(list(TEXTS)):
        yield {info.name: _tokens(info, encoding) for info in inputs}


def _tokens(info: TensorInfo, encoding: Any) -> NDArray[Any]:
    """One text as one of the inputs of a graph; padded where the graph has one length."""
    kind, shape = _WHOLE.get(info.element_type), info.shape or ()
    if kind is not None and len(shape) < 2:
        return np.zeros([size if isinstance(size, int) else 1 for size in shape], kind)
    count = len(encoding.ids)
    values = {
        "input_ids": encoding.ids,
        "attention_mask": [1] * count,
        "token_type_ids": encoding.type_ids,
        "position_ids": list(range(count)),
    }.get(info.name)
    if kind is None or values is None:
        raise _NotComparedError(f"what to feed to its input {info.name!r} is not known")
    width = shape[1] if isinstance(shape[1], int) else count
    if width < count:
        raise _NotComparedError(f"it reads {width} tokens only")
    row = np.zeros((1, width), kind)
    row[0, :count] = values
    return row


def _pictures(info: TensorInfo) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Gradients with more and more noise, as scaled pixels."""
    sizes = [size if isinstance(size, int) and size > 0 else None for size in info.shape or ()]
    channels, height, width = (
        given or usual for given, usual in zip(sizes[1:], (_CHANNELS, _SIDE, _SIDE), strict=True)
    )
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal((_PICTURES, channels, height, width))
    slope = np.linspace(-2, 2, height)[:, None] * np.linspace(1, -1, width)[None]
    kind = {1: np.float32, 10: np.float16, 11: np.float64}[info.element_type]
    for number in range(_PICTURES):
        share = number / (_PICTURES - 1)
        yield {info.name: (share * noise[number] + (1 - share) * slope).astype(kind)[None]}


def least_agreement(exact: Sequence[NDArray[Any]], near: Sequence[NDArray[Any]]) -> float:
    """The least cosine of the results of some texts; of scores, that of all of them about their mean.

    Args:
        exact: What single precision gives for each text: one vector, one vector per token, or scores.
        near: The same in another precision.

    Returns:
        The cosine; -1 where a result is not finite.
    """
    if exact[0].size < _FEWEST_NUMBERS:
        exact, near = ([_about_mean(values)] for values in (exact, near))
    return min(_cosine(one, other) for one, other in zip(exact, near, strict=True))


def _about_mean(scores: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    table = np.stack([np.asarray(one, np.float64).reshape(-1) for one in scores])
    return np.asarray(table - table.mean(axis=0), np.float64)


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    left, right = (np.asarray(values, np.float64).reshape(-1) for values in (one, other))
    if left.shape != right.shape or not (np.isfinite(left).all() and np.isfinite(right).all()):
        return -1.0
    length = float(np.linalg.norm(left) * np.linalg.norm(right))
    return 1.0 if length == 0 and np.array_equal(left, right) else float(left @ right) / max(length, 1e-300)
