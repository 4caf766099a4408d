"""The description of a cross-encoder, read from its own files, and what they say of its score.

``config.json`` names the architecture and, in folders of sentence-transformers, the activation; newer ones name the
latter in ``config_sentence_transformers.json``, and list the stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.hub.files import Files, FolderFiles, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.finish import finish
from onnxembed.metadata.prompts import SETTINGS_FILE, read_prompts
from onnxembed.metadata.stages import STAGES_FILE, Stage, read_stages, require_known
from onnxembed.metadata.tokenizer import read_tokenizer_settings
from onnxembed.metadata.transformer import check_arguments, check_task, transformer_facts
from onnxembed.rerank.chat_template import ChatTemplate, read_chat_template
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.layout import require_text_model

_ACTIVATIONS: Mapping[str, Activation] = {"Identity": Activation.RAW, "Sigmoid": Activation.SIGMOID}
_HEAD = "ForSequenceClassification"
_CAUSAL = "ForCausalLM"
_ANSWERS = "LogitScore"
_KNOWN_STAGES = frozenset({"Transformer", _ANSWERS})
MOST_LABELS = 2
"""A score by which documents are ranked is one logit, or the difference of two; more labels have no order."""


def matches(files: Files) -> bool:
    """Tell whether the files are those of a cross-encoder: a classification head, by name or by its few labels."""
    stages = read_stages(files)
    body = stages[0].path if stages else ""
    if not files.has(_in(body, TOKENIZER_FILE)):
        return False
    stated = files.facts(SETTINGS_FILE).value("model_type")
    if isinstance(stated, str):
        return stated == "CrossEncoder"
    if stages:
        return False
    named = files.facts(CONFIG_FILE).value("architectures")
    if isinstance(named, list) and named:
        return any(str(name).endswith(_HEAD) for name in named)
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    facts = None if graph is None else files.graph(graph)
    shape = None if facts is None else facts.outputs[0].shape
    return shape is not None and len(shape) == 2 and shape[1] in range(1, MOST_LABELS + 1)


def describe(files: Files) -> CrossEncoderModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description. The head of a graph that is not here yet is checked when it is loaded.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If the model has no classification head, or a key is not known.
    """
    stages = read_stages(files)
    require_known(files, stages, _KNOWN_STAGES)
    body = stages[0].path if stages else ""
    graph = require_text_model(files, body)
    config = files.facts(_in(body, CONFIG_FILE))
    named = config.texts("architectures")
    answers = _answers(files, stages)
    if named and not any(name.endswith(_CAUSAL if answers else _HEAD) for name in named):
        raise UnsupportedModelError(
            f"{config.where} names the architecture {', '.join(named)}, which has no "
            f"classification head; a cross-encoder's ends in {_HEAD}. Is this an embedding model?"
        )
    facts = None if graph is None else files.graph(graph)
    if graph is not None and facts is not None:
        check_head(files.label(graph), facts.outputs[0], stated_labels(config))
    settings = files.facts(SETTINGS_FILE)
    settings.expect("model_type", ("CrossEncoder",), "CrossEncoder")
    activation_name(settings, config)
    # The rest of the file is the compiler's; this section of it is sentence-transformers'.
    config.section("sentence_transformers").finish((), files.accept_unknown)
    stored = read_prompts(settings)
    chat = _read_body(files, body, causal=bool(answers))
    tokenizer = read_tokenizer_settings(files, body, stored=bool(stages))
    finish(files, stages, (body,))
    return CrossEncoderModel(
        name=files.model_name,
        sources=files.sources,
        model_file=graph or _in(body, GRAPH_LAYOUTS[0]),
        body_folder=body,
        tokenizer=tokenizer,
        prompt=stored.default,
        answers=answers,
        chat=chat,
        description="described by the files of its folder",
    )


def _in(folder: str, name: str) -> str:
    return PurePosixPath(folder, name).as_posix()


def _answers(files: Files, stages: tuple[Stage, ...]) -> tuple[int, ...]:
    """The ids of a language model's answers, that of "no" first; empty for a classifier."""
    scores = [stage for stage in stages if stage.kind == _ANSWERS]
    if not scores:
        return ()
    if len(stages) != 2 or stages[1].kind != _ANSWERS:
        raise UnsupportedModelError(f"{files.label(STAGES_FILE)}: expected a Transformer and then one {_ANSWERS}")
    config = scores[0].config(files)
    config.expect("module_input_name", ("causal_logits",), "causal_logits")
    yes, no = config.whole("true_token_id", least=0), config.optional_whole("false_token_id", least=0)
    return (yes,) if no is None else (no, yes)


def _read_body(files: Files, body: str, *, causal: bool) -> ChatTemplate | None:
    """Read what the Transformer stage says; of a language model that reads messages, how it is asked."""
    transformer = transformer_facts(files, body)
    check_arguments(transformer)
    if not causal:
        check_task(transformer, "sequence-classification", "logits", "scores")
        return None
    check_task(transformer, "text-generation", "logits", "causal_logits", messages=True)
    return read_chat_template(files, body) if transformer.section("modality_config").has("message") else None


def activation_name(settings: Facts, config: Facts) -> str | None:
    """Read the name of the function that the files apply to the logits; ``None`` where they name none."""
    nested = config.section("sentence_transformers")
    nested.value("version")
    named = (
        settings.text("activation_fn", ""),
        nested.text("activation_fn", ""),
        config.text("sbert_ce_default_activation_function", ""),
    )
    return next((name for name in named if name), None)


def stored_activation(folder: Path, body: str) -> str | None:
    """Read the same from the folder of a model."""
    files = FolderFiles(folder)
    return activation_name(files.facts(SETTINGS_FILE), files.facts(_in(body, CONFIG_FILE)))


def stated_labels(config: Facts) -> int:
    """Read how many labels ``config.json`` names; 0 where it names none."""
    named, count = config.value("id2label"), config.value("num_labels")
    if isinstance(named, dict) and named:
        return len(named)
    return count if isinstance(count, int) and not isinstance(count, bool) else 0


def stored_labels(folder: Path, body: str) -> int:
    """Read the same from the folder of a model."""
    return stated_labels(FolderFiles(folder).facts(_in(body, CONFIG_FILE)))


def check_head(where: str | Path, output: TensorInfo, stated: int) -> None:
    """Refuse a graph whose first output, as far as it is stated, gives no scores: (batch,) or (batch, labels).

    More labels than two are those that ``config.json`` names, ``stated``; else they are taken for an embedding.
    """
    shape = output.shape
    if shape is None:
        return
    labels = shape[-1] if len(shape) == 2 else 1
    if len(shape) in (1, 2) and (not isinstance(labels, int) or 1 <= labels <= MOST_LABELS or labels == stated):
        return
    described = ", ".join("?" if size is None else str(size) for size in shape)
    raise UnsupportedModelError(
        f"{where} has no classification head that gives a score: its output {output.name!r} is ({described}); expected "
        f"(batch, labels) with at most {MOST_LABELS} labels, or as many as {CONFIG_FILE} names. Is this an embedding "
        "model?"
    )


def read_activation(folder: Path, body: str = "") -> Activation:
    """Read which function a model's files apply to its score, ``RAW`` or ``SIGMOID``.

    Nothing said is the sigmoid, sentence-transformers' default for one label, and for two labels the same as their
    softmax. Another function is an `UnsupportedModelError`.
    """
    function = stored_activation(folder, body)
    if function is None:
        return Activation.SIGMOID
    activation = _ACTIVATIONS.get(function.rsplit(".", 1)[-1])
    if activation is None:
        raise UnsupportedModelError(
            f"{folder} names the activation {function!r}; known are {', '.join(_ACTIVATIONS)}. "
            "Pass activation='raw' or 'sigmoid'"
        )
    return activation
