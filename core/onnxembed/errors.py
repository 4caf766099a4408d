"""Every error that onnxembed raises on purpose.

    OnnxEmbedError
    ├── InputError               (ValueError)   a value that cannot be used: empty batch size, surrogates, ...
    │   ├── UnknownModelError                   no such model; the nearest names are offered
    │   └── TextTooLongError                    ``truncate=False`` and a text over the limit
    ├── InputTypeError           (TypeError)    an argument or an item of the wrong type
    ├── ModelError               (ValueError)   a model's files cannot be used as they are
    │   ├── UnsafeModelError                    they ask for code or for files outside their folder
    │   └── UnsupportedModelError               an architecture or layout that is not known here
    ├── ModelNotFoundError       (OSError, ValueError)  no source could give the files; the message says why, for each
    │   └── IntegrityError                      the files arrived but are not the published ones
    ├── ProviderError            (ValueError)   an execution provider or a device that is not to be had
    ├── MissingExtraError        (ImportError)  a package that an optional part needs is not installed
    └── InferenceError           (RuntimeError) ONNX Runtime failed on a batch

Each one also is the built-in that a caller would catch, and says what was given, what was expected and what to do.
"""

from __future__ import annotations

__all__ = [
    "InferenceError",
    "InputError",
    "InputTypeError",
    "IntegrityError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "OnnxEmbedError",
    "ProviderError",
    "TextTooLongError",
    "UnknownModelError",
    "UnsafeModelError",
    "UnsupportedModelError",
]


class OnnxEmbedError(Exception):
    """The root of the tree: catching it catches every deliberate error of this package."""


class InputError(OnnxEmbedError, ValueError):
    """A value that cannot be used."""


class UnknownModelError(InputError):
    """The model is neither in the catalogue, nor added by the user, nor a folder."""


class TextTooLongError(InputError):
    """A text has more tokens than the model takes and truncation was refused.

    Attributes:
        index: Position of the text among those given, counted from 0.
        token_count: Its tokens, special tokens included.
        max_length: The limit in force.
    """

    index: int
    token_count: int
    max_length: int

    def __init__(self, index: int, token_count: int, max_length: int) -> None:
        """Say which text, and what to do."""
        super().__init__(
            f"text {index} has {token_count} tokens, more than the limit of {max_length}; "
            "shorten it, raise max_length= if the model allows it, or pass truncate=True"
        )
        self.index = index
        self.token_count = token_count
        self.max_length = max_length

    def __reduce__(self) -> tuple[type[TextTooLongError], tuple[int, int, int]]:
        return type(self), (self.index, self.token_count, self.max_length)


class InputTypeError(OnnxEmbedError, TypeError):
    """An argument or an item of the wrong type."""


class ModelError(OnnxEmbedError, ValueError):
    """A model's files cannot be used as they are."""


class UnsafeModelError(ModelError):
    """A model's files ask for code, or for files outside their folder."""


class UnsupportedModelError(ModelError):
    """An architecture or a layout that is not known here."""


class ModelNotFoundError(OnnxEmbedError, OSError, ValueError):
    """No source could give the model's files; the message says why, for each source."""


class IntegrityError(ModelNotFoundError):
    """The files arrived, but they are not the published ones."""


class ProviderError(OnnxEmbedError, ValueError):
    """An execution provider or a device that is not to be had."""


class InferenceError(OnnxEmbedError, RuntimeError):
    """ONNX Runtime failed on a batch."""


class MissingExtraError(OnnxEmbedError, ImportError):
    """A package that an optional part of this one needs is not installed; the message names the extra that has it."""
