"""What sentence-transformers' Transformer stage says of itself, in a file beside its weights."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts
    from onnxembed.hub.files import Files

TRANSFORMER_FILES = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The names that the file has had; the first one that is there counts."""
# Arguments of transformers that say how weights are loaded, not what is computed with them.
_LOADING = frozenset(
    {"attn_implementation", "torch_dtype", "dtype", "low_cpu_mem_usage", "device_map", "use_safetensors"}
)


def transformer_facts(files: Files, folder: str) -> Facts:
    """Give what the file in the stage's folder says; empty without one."""
    names = [PurePosixPath(folder, name).as_posix() for name in TRANSFORMER_FILES]
    return files.facts(next((name for name in names if files.has(name)), names[0]))


def check_task(transformer: Facts, task: str, output: str, result: str, *, messages: bool = False) -> None:
    """Refuse a stage that gives something else than the caller's kind of models takes, or that reads more than text.

    Args:
        transformer: What the stage's file says.
        task: What the stage is for, as sentence-transformers calls it, such as ``feature-extraction``.
        output: What is taken of the model's outputs for texts, such as ``last_hidden_state``.
        result: What the stage calls it, such as ``token_embeddings``.
        messages: Whether the caller renders messages by the chat template, which a stage that reads them asks for.
    """
    transformer.expect("transformer_task", (task,), task)
    transformer.expect("module_output_name", (result,), result)
    modalities = transformer.section("modality_config")
    read = ("text", "message") if messages else ("text",)
    others = [name for name in modalities.keys() if name not in read]  # noqa: SIM118  # it is no mapping
    if others:
        raise UnsupportedModelError(
            f"{transformer.where}: modality_config names {', '.join(others)}; only {' and '.join(read)} is read here"
        )
    for name in read:
        way = modalities.section(name)
        way.expect("method", ("forward",), "forward")
        way.expect("method_output_name", (output,), output)
        if name == "message":
            way.value("format")


def check_arguments(transformer: Facts) -> None:
    """Read the stored arguments of transformers that change nothing; the others are left, and refuse the model.

    Both generations of their names are read; what they say of the tokenizer is left to the tokenizer's reader.
    """
    for key in ("model_args", "model_kwargs"):
        section = transformer.section(key)
        for name in section.keys():  # noqa: SIM118  # it is no mapping
            if name in _LOADING or name == "trust_remote_code":
                section.value(name)
    for key in ("config_args", "config_kwargs"):
        transformer.section(key).value("trust_remote_code")
