"""Errors of constructors: the core's own, instead of the one that pydantic puts around them."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from onnxembed.errors import InputError, OnnxEmbedError

__all__ = ["Refusing", "refusal"]


class Refusing(BaseModel):
    """A model whose constructor raises errors of this package alone.

    ``model_validate`` and its kin stay pydantic's, with its ``ValidationError``.
    """

    if not TYPE_CHECKING:  # type checkers know the arguments from the fields

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise refusal(type(self), error) from None

        # Validation of a dictionary need not come through here: it raises pydantic's error anyway.
        __init__.__pydantic_base_init__ = True


def refusal(owner: type, error: ValidationError) -> OnnxEmbedError:
    """Give the error of this package that a ``ValidationError`` holds, or one that says the same."""
    found = error.errors(include_url=False)
    causes = [cause for one in found if isinstance(cause := one.get("ctx", {}).get("error"), OnnxEmbedError)]
    if causes:
        return causes[0]  # made of values that had passed all checks of fields
    told: dict[str, str] = {}
    for one in found:  # a union has one complaint for each of its types
        name = str(one["loc"][0]) if one["loc"] else ""
        given = "" if one["type"] == "missing" or not name else f"={reprlib.repr(one['input'])}"
        before = f"{told[name]}, or " if name in told else f"{name}{given}: " if name else ""
        told[name] = before + one["msg"]
    return InputError(f"{owner.__name__}: {'; '.join(told.values())}")
