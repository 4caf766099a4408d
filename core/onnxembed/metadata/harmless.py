"""Keys of a model's JSON files that change no vector, each with the reason.

A key stands here only where no reader has a use for it. Those of ``config.json`` that describe an architecture are the
compiler's, see ``compile/config_keys.py``: a graph has them inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

Reasons = Mapping[str, str]

ENTRY_KEYS: Reasons = {
    "idx": "the position in the list, which its order has",
    "name": "what the library calls the stage in memory",
    "kwargs": "names of arguments of a call that the stage would read; there are none here",
}
"""Of the entries of ``modules.json``."""

SETTINGS_KEYS: Reasons = {
    "__version__": "the libraries that saved the model",
    "keep_in_fp32_modules": "layers that stay in float32 where others do not; here all are in float32",
    "similarity_fn_name": "how a store compares vectors; none is computed by it",
    "requirements": "versions of Python packages that the authors ask for; none of them is used",
}
"""Of ``config_sentence_transformers.json``."""

_TOKENS = "how late interaction marks and leaves out tokens, where the vectors of all tokens are asked for"

TOKEN_KEYS: Reasons = {
    "query_prefix": _TOKENS,
    "document_prefix": _TOKENS,
    "query_length": _TOKENS,
    "document_length": _TOKENS,
    "attend_to_expansion_tokens": _TOKENS,
    "do_query_expansion": _TOKENS,
    "skiplist_words": _TOKENS,
}
"""Of ``config_sentence_transformers.json``, for those who take a model of PyLate as a dense one."""

TRANSFORMER_KEYS: Reasons = {
    "unpad_inputs": "whether padding is left out of batches, which changes the speed alone",
}
"""Of ``sentence_bert_config.json`` and its older names."""

_INDEX = "how the ColBERT code makes and searches an index, none of which is done here"
_TRAINING = "how the ColBERT code trained the model"
_RUN = "where the ColBERT code ran and keeps its files"
COLBERT_KEYS: Reasons = {
    "query_token": "a name for people; its id stands in query_token_id",
    "doc_token": "a name for people; its id stands in doc_token_id",
    "dim": "the numbers of a vector, which the weights have",
    "model_name": "what the training started from",
    "rerank": _INDEX,
    **dict.fromkeys(
        ("ncells", "centroid_score_threshold", "ndocs", "load_index_with_mmap", "index_path", "index_bsize", "nbits"),
        _INDEX,
    ),
    **dict.fromkeys(
        ("kmeans_niters", "resume", "pool_factor", "clustering_mode", "protected_tokens", "index_name"), _INDEX
    ),
    **dict.fromkeys(
        ("bsize", "accumsteps", "lr", "maxsteps", "save_every", "warmup", "warmup_bert", "relu", "nway"), _TRAINING
    ),
    **dict.fromkeys(("use_ib_negatives", "reranker", "distillation_alpha", "ignore_scores"), _TRAINING),
    **dict.fromkeys(("checkpoint", "triples", "collection", "queries", "overwrite", "root", "experiment"), _RUN),
    **dict.fromkeys(("index_root", "name", "rank", "nranks", "amp", "gpus", "avoid_fork_if_possible", "meta"), _RUN),
}
"""Of ``artifact.metadata``."""

MODULE_KEYS: Reasons = {
    "chunk_size": "SpladePooling: how many positions are pooled at a time; the result is the same",
    "frozen": "SparseStaticEmbedding: whether training changes its weights",
    "k_aux": "SparseAutoEncoder: read when a model is trained",
    "dead_threshold": "SparseAutoEncoder: read when a model is trained",
}
"""Of the stages' own ``config.json``."""

_SAVING = "how the file was written, or read, the last time"
_SLOW = "of tokenizers in Python, which are not used: tokenizer.json says it"
_CALL = "an argument of the last call before saving, and none of the next"
_NUMBER = "the number of a token that is named as well"
_DECODING = "how tokens become text again"

TOKENIZER_KEYS: Reasons = {
    "backend": _SAVING,
    "is_local": _SAVING,
    "local_files_only": _SAVING,
    "name_or_path": _SAVING,
    "special_tokens_map_file": _SAVING,
    "full_tokenizer_file": _SAVING,
    "verbose": _SAVING,
    "return_tensors": _CALL,
    "return_attention_mask": _CALL,
    "tokenizer_file": _SAVING,
    "vocab_file": _SAVING,
    "merges_file": _SAVING,
    "added_tokens_file": _SAVING,
    "use_fast": _SAVING,
    "processor_class": "the class in Python of what prepares several modalities",
    "tokenizer_type": "the class in Python, by another name",
    "model_type": "the family, which config.json names",
    "model_input_names": "the tokenizer's rules read whether tokens have types; the graph says what else it takes",
    "clean_up_tokenization_spaces": _DECODING,
    "errors": _DECODING,
    "decode_with_prefix_space": _DECODING,
    "chat_template": "for conversations; texts are read as they are",
    "use_default_system_prompt": "for conversations; texts are read as they are",
    "do_basic_tokenize": _SLOW,
    "never_split": _SLOW,
    "legacy": _SLOW,
    "sp_model_kwargs": _SLOW,
    "keep_accents": _SLOW,
    "remove_space": _SLOW,
    "from_slow": _SLOW,
    "spaces_between_special_tokens": _DECODING,
    "trim_offsets": "where tokens lie in the text, which nobody asks for",
    "stride": _CALL,
    "truncation_strategy": _CALL,
    "truncation": _CALL,
    "padding": _CALL,
    "pad_to_multiple_of": "padding to round lengths, which masks hide",
    "pad_token_type_id": "the type of padding, which masks hide",
    "padding_strategy": _CALL,
    "return_token_type_ids": _CALL,
    "max_len": "an old name of model_max_length, which no version since 3 reads",
    "unk_id": _SLOW,
    "pad_id": _NUMBER,
    "bos_id": _NUMBER,
    "eos_id": _NUMBER,
    "vocab_size": "how many tokens there are, which tokenizer.json has",
    "do_lowercase": _SLOW,
    "split_by_punct": _SLOW,
    "vocab_type": _SLOW,
    "wordpieces_prefix": _SLOW,
    "slow_tokenizer_class": _SLOW,
    "is_fast": _SAVING,
    "device_map": _SAVING,
    "trust_remote_code": _SAVING,
    "cache_dir": _SAVING,
    "revision": _SAVING,
    "subfolder": _SAVING,
    "_commit_hash": _SAVING,
    "use_auth_token": _SAVING,
    "token": _SAVING,
    "bos_token_id": _NUMBER,
    "eos_token_id": _NUMBER,
    "unk_token_id": _NUMBER,
    "sep_token_id": _NUMBER,
    "pad_token_id": _NUMBER,
    "cls_token_id": _NUMBER,
    "mask_token_id": _NUMBER,
    "additional_special_tokens_ids": _NUMBER,
    "language": _SAVING,
    "image_token": "for pictures; texts alone are read",
    "boi_token": "for pictures; texts alone are read",
    "eoi_token": "for pictures; texts alone are read",
    "model_specific_special_tokens": "tokens that tokenizer.json holds as well",
    "extra_ids": "how many sentinel tokens there are, which tokenizer.json holds",
}
"""Of ``tokenizer_config.json``."""

_FORMS = "in which form numbers are given back, and how several pictures are held together on the way"
PICTURE_KEYS: Reasons = {
    "processor_class": "the class in Python of what prepares several modalities",
    "auto_map": "a class in Python of the repository's own, which is never run",
    "_valid_processor_keys": "names of arguments of the class in Python",
    "do_convert_rgb": "every picture is turned into RGB here",
    "fill_color": "the color of a border that no processor known here adds",
    "pad_size": "the size with a border; a config that asks for one is refused",
    "image_seq_length": "how many tokens stand for a picture, which the graph has inside",
    "input_data_format": "how an array is read; the class says how it reads one",
    "return_tensors": _FORMS,
    "disable_grouping": _FORMS,
    "device": _FORMS,
    "size_divisor": "the grid of a border that no processor known here adds",
    "max_num_patches": "of pictures of varying numbers of patches; those are refused",
    "patch_size": "of pictures of varying numbers of patches; those are refused",
    "num_channels": "pictures are RGB",
    "_name_or_path": _SAVING,
    "transformers_version": _SAVING,
}
"""Of ``preprocessor_config.json``."""

_TRAINED = "how the table was made"

MODEL2VEC_KEYS: Reasons = {
    "architectures": "the class in Python",
    "tokenizer_name": _TRAINED,
    "base_model_name": _TRAINED,
    "apply_pca": _TRAINED,
    "pca_dims": _TRAINED,
    "apply_zipf": _TRAINED,
    "sif_coefficient": _TRAINED,
    "explained_variance": _TRAINED,
    "token_remove_pattern": _TRAINED,
    "remove_tokens": _TRAINED,
    "use_subword": _TRAINED,
    "vocabulary_quantization": "how many rows the table has, which it says itself",
    "embedding_dtype": "the type of the table's numbers, which it says itself",
    "seq_length": "the length of the model that the table was made of",
    "language": "for the model card",
    "torch_dtype": _SAVING,
    "dtype": _SAVING,
    "transformers_version": _SAVING,
    "_name_or_path": _SAVING,
}
"""Of the ``config.json`` of a table of model2vec."""

_BY_FILE: Mapping[str, Reasons] = {
    "config_sentence_transformers.json": SETTINGS_KEYS,
    "sentence_*_config.json": TRANSFORMER_KEYS,
    "artifact.metadata": COLBERT_KEYS,
    "config.json": MODULE_KEYS,
    "tokenizer_config.json": TOKENIZER_KEYS,
}


def harmless_keys(name: str) -> Reasons:
    """Give the harmless keys of a file, by its name without the folder; none for a file that is not listed."""
    path = PurePosixPath(name)
    return next((keys for pattern, keys in _BY_FILE.items() if path.match(pattern)), {})
