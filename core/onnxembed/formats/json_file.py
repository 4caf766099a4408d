"""Reading the JSON files that models are published with; a missing one is no error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onnxembed.errors import ModelError


def read_json_file(path: Path) -> object:
    """Read a file.

    Args:
        path: The file.

    Returns:
        What it holds, ``None`` when it is missing.

    Raises:
        ModelError: It is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON in UTF-8 ({error}); fetch the model again") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.

    Returns:
        The object, empty when the file is missing or holds something else.
    """
    content = read_json_file(path)
    return content if isinstance(content, dict) else {}
