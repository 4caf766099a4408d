"""Messages in the adapter's words."""

from __future__ import annotations

import pytest

from onnxembed.adapters.messages import refuse_unknown, translate
from onnxembed.errors import InputError, ModelNotFoundError, OnnxEmbedError, ProviderError, TextTooLongError

NAMES = {"cuda": "device", "specific_model_path": "model_path", "dim": "dimensions"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("dim=3: pass at most 2"), "dimensions=3: pass at most 2"),
        (ModelNotFoundError("or pass specific_model_path= a folder"), "or pass model_path= a folder"),
        (ProviderError("cuda=True, but none; use cuda='auto'"), "device='cuda', but none; use device='auto'"),
        (InputError("dim_proj=3 is more than my dim; a dim is no argument"), None),
        (InputError(), None),
    ],
)
def test_arguments_have_the_adapters_names(error: OnnxEmbedError, expected: str | None) -> None:
    before = str(error)
    kind = type(error)
    translate(error, NAMES)
    assert str(error) == (before if expected is None else expected)
    assert type(error) is kind


def test_attributes_stay() -> None:
    error = TextTooLongError(1, 20, 8)
    translate(error, {"max_length": "limit"})
    assert "raise limit=" in str(error)
    assert (error.index, error.token_count, error.max_length) == (1, 20, 8)


def test_unknown_arguments_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"^A has no argument 'x'; use y\. A has no argument 'devic'; did you mean"):
        refuse_unknown("A", ["x", "device", "devic"], ["device", "revision"], {"x": "use y"})
    with pytest.raises(ValueError, match="it takes device, revision"):
        refuse_unknown("A", ["zzzz"], ["revision", "device"], {})
    refuse_unknown("A", ["device"], ["device"], {"device": "never said"})
