"""A login for the Hub that shows in no representation, log or pickle."""

from __future__ import annotations

from typing import Any

from onnxembed.errors import InputError, InputTypeError


class HubToken:
    """A token, or whether to send the one that is set up. Copies share it; a pickle holds ``None`` in its place."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bool) -> None:
        """Keep it."""
        self._value = value

    def reveal(self) -> str | bool:
        """Give what huggingface_hub takes: the token, ``True`` for one that must be set up, ``False`` for none."""
        return self._value

    def __repr__(self) -> str:
        return "HubToken(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HubToken) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> HubToken:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> HubToken:
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        # Another process has a login of its own, or none.
        return type(None), ()


def hub_token(value: object, name: str) -> HubToken:
    """Read a token: text, a flag, or an object that keeps it, such as pydantic's ``SecretStr``."""
    if isinstance(value, HubToken):
        return value
    reveal: Any = getattr(value, "get_secret_value", None)
    given = reveal() if callable(reveal) else value
    # Messages never show what was given.
    if not isinstance(given, str | bool):
        raise InputTypeError(f"{name} is a {type(given).__name__}; expected a token as text, True, False or None")
    if isinstance(given, str) and (not given or not given.isascii() or not given.isprintable() or " " in given):
        raise InputError(f"{name} is no token: it is empty or has a character that none has; pass one like 'hf_...'")
    return HubToken(given)
