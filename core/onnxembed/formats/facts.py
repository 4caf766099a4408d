"""A JSON object of a model's files, read key by key, so that what nobody read can be refused by name.

A reader takes the keys it knows. `Facts.finish` then looks at what is left: a key that is not known to be harmless
could change the vectors, and refuses the model.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onnxembed.errors import ModelError, UnsupportedModelError

logger = logging.getLogger("onnxembed.models")

_SHOWN = 100  # characters of a value in a message


class Facts:
    """A JSON object and what has been read of it. ``null`` counts as not said.

    Every reader takes the key it reads: it is known from then on, whatever its value.
    """

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
        """Take an object, the file that messages name, and the keys that lead to the object in its file."""
        self.where = where
        self._values = dict(values)
        self._prefix = prefix
        self._read: set[str] = set()
        self._sections: dict[str, Facts] = {}

    def has(self, key: str) -> bool:
        """Tell whether a key is there with a value; it does not count as read."""
        return self._values.get(key) is not None

    def keys(self) -> tuple[str, ...]:
        """Give all keys, read or not."""
        return tuple(self._values)

    def taken(self) -> dict[str, object]:
        """Give what was read and is there, by its keys joined by dots."""
        taken: dict[str, object] = {}
        for key, value in self._values.items():
            if key in self._sections:
                taken |= self._sections[key].taken()
            elif key in self._read and value is not None:
                taken[f"{self._prefix}{key}"] = value
        return taken

    def value(self, key: str) -> Any:
        """Read a value of any type; ``None`` where it is missing."""
        self._read.add(key)
        return self._values.get(key)

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """Read a whole number of at least ``least``; without a default it must be there."""
        value = self._take(key, default)
        if type(value) is not int or value < least:
            raise self.wrong(key, value, f"a whole number of at least {least}")
        return value

    def optional_whole(self, key: str, *, least: int = 1) -> int | None:
        """Read a whole number that may be missing."""
        return self.whole(key, least=least) if self.has(key) else self.value(key)

    def number(self, key: str, default: float | None = None, *, above: float | None = None) -> float:
        """Read a finite number; without a default it must be there."""
        value = self._take(key, default)
        finite = type(value) in (int, float) and abs(value) < float("inf")
        if not finite or (above is not None and value <= above):
            raise self.wrong(key, value, "a number" if above is None else f"a number above {above:g}")
        return float(value)

    def text(self, key: str, default: str | None = None) -> str:
        """Read a text; without a default it must be there."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, value, "text")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Read true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts; empty where it is missing."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, value, "a list of texts")
        return tuple(value)

    def wholes(self, key: str) -> tuple[int, ...]:
        """Read a list of whole numbers; empty where it is missing."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self.wrong(key, value, "a list of whole numbers")
        return tuple(value)

    def section(self, key: str) -> Facts:
        """Read an object inside this one; empty where it is missing. Its own keys are read one by one."""
        if key not in self._sections:
            value = self._take(key, {})
            if not isinstance(value, dict):
                raise self.wrong(key, value, "an object")
            self._sections[key] = Facts(value, self.where, f"{self._prefix}{key}.")
        return self._sections[key]

    def expect(self, key: str, accepted: Sequence[object], default: object) -> None:
        """Refuse a value that would change what has to be computed; ``default`` stands for a missing one."""
        value = self._take(key, default)
        if not any(value == known and type(value) is type(known) for known in accepted):
            raise UnsupportedModelError(
                f"{self.where}: {self._prefix}{key} is {value!r:.{_SHOWN}}; known here: "
                f"{', '.join(map(repr, accepted))}"
            )

    def left(self, harmless: Collection[str] = ()) -> dict[str, object]:
        """Give what nobody read and is not harmless: by its keys, joined by dots."""
        left = {
            f"{self._prefix}{key}": value
            for key, value in self._values.items()
            if key not in self._read and key not in harmless and f"{self._prefix}{key}" not in harmless
        }
        for section in self._sections.values():
            left |= section.left(harmless)
        return left

    def finish(self, harmless: Collection[str], accepted: Collection[str]) -> None:
        """Refuse the model for a key that nobody read.

        Args:
            harmless: Keys that change no vector, wherever they stand, or joined by dots to the keys that lead there.
            accepted: Keys that the user accepts, ``accept_unknown=``: the last name of each, or joined by dots.

        Raises:
            UnsupportedModelError: A key is left; the message names file, key and value.
        """
        for key, value in self.left(harmless).items():
            if key in accepted or key.rsplit(".", 1)[-1] in accepted:
                logger.warning("%s: %s is not known here and is passed over (accept_unknown)", self.where, key)
                continue
            raise UnsupportedModelError(
                f"{self.where}: the key {key!r} (value {value!r:.{_SHOWN}}) is not known here and could change the "
                f"vectors. If it does not, pass accept_unknown=({key!r},)"
            )

    def wrong(self, key: str, value: object, expected: str) -> ModelError:
        """Make the error for a value of another type or range."""
        return ModelError(
            f"{self.where}: {self._prefix}{key} is {value!r:.{_SHOWN}}, expected {expected}; fetch the file again"
        )

    def _take(self, key: str, default: object) -> Any:
        self._read.add(key)
        value = self._values.get(key)
        return default if value is None else value
