"""The end of reading: what nobody read refuses the model."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.metadata.harmless import harmless_keys
from onnxembed.metadata.prompts import SETTINGS_FILE
from onnxembed.metadata.stages import Stage, finish_stages
from onnxembed.metadata.transformer import transformer_facts

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnxembed.hub.files import Files


def finish(
    files: Files, stages: tuple[Stage, ...], bodies: Collection[str] = ("",), tables: Collection[str] = ()
) -> None:
    """Refuse the model for a key of its metadata that no reader took.

    Looked at are the entries of ``modules.json``, and every file that was asked for by `Files.facts`, that of the
    Transformer stage and ``config_sentence_transformers.json`` in any case.

    Args:
        files: The files.
        stages: The stages that were read of them.
        bodies: The folders of the transformers. Their ``config.json`` describes an architecture: the compiler reads it
            where there is no graph.
        tables: The folders of tables of token vectors, whose ``config.json`` the caller reads.

    Raises:
        UnsupportedModelError: A key is left; the message names file, key and value.
    """
    finish_stages(files, stages)
    files.facts(SETTINGS_FILE)
    for body in bodies:
        transformer_facts(files, body)
    architectures = {PurePosixPath(body, CONFIG_FILE).as_posix() for body in (*bodies, *tables)}
    for name, facts in files.all_facts.items():
        if name not in architectures:
            facts.finish(harmless_keys(name), files.accept_unknown)
