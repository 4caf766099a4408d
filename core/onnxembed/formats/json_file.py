"""JSON as models are published with it, read strictly: UTF-8, and an object where one is expected."""

from __future__ import annotations

import json
from typing import Any

from onnxembed.errors import ModelError


def parse_json(content: bytes, where: str) -> object:
    """Parse the content of a file, which messages call ``where``; a `ModelError` where it is not JSON in UTF-8."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not valid JSON in UTF-8 ({error}); fetch the model again") from error


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """Parse a file that holds one object; a `ModelError` where it holds something else."""
    value = parse_json(content, where)
    if not isinstance(value, dict):
        raise ModelError(f"{where} holds a JSON {type(value).__name__}; expected an object: fetch the model again")
    return value
