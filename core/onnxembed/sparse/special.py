"""The tokens of a tokenizer that are no part of a text."""

from __future__ import annotations

from onnxembed.text.tokenizer import TextTokenizer


def special_ids(tokenizer: TextTokenizer) -> list[int]:
    """Give the ids of special tokens, such as those at both ends of a text.

    Args:
        tokenizer: The tokenizer.

    Returns:
        The ids, ascending.
    """
    added = tokenizer.backend.get_added_tokens_decoder()
    return sorted(number for number, token in added.items() if token.special)
