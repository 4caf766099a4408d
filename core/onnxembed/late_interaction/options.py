"""The options that only late-interaction text models have."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from onnxembed.api.inputs import check_flag
from onnxembed.api.options import TextOptions, option


@dataclass(frozen=True, slots=True)
class LateInteractionOptions(TextOptions):
    """What late-interaction text models have.

    These are documented anew:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files,
            written by PyLate or by the ColBERT code. With ``dense``, a name or a folder of `TextEmbedding`.
        max_length: Tokens that a text is cut to, special tokens and marker included; ``None`` for what the files say.

    Attributes:
        dense: Whether the model is a dense one, whose last hidden states are given instead of one vector per text.
        normalize: Whether vectors are scaled to length 1; ``None`` for what the model's authors do.
        skip_special_tokens: Whether the vectors of the tokens around a text, such as ``[CLS]``, are left out.
    """

    _: KW_ONLY
    dense: bool = option(False, check_flag, exported=False)
    normalize: bool | None = option(None, check_flag)
    skip_special_tokens: bool = option(False, check_flag)
