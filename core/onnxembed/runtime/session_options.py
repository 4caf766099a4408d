"""Options of ONNX Runtime's sessions that a caller may set; read when a model is described, long before a session."""

from __future__ import annotations

from collections.abc import Mapping

from onnxembed.errors import InputError, InputTypeError
from onnxembed.suggest import nearest

OptionValue = str | int | bool
# Attributes of onnxruntime.SessionOptions that a caller may set; everything with a dot in its name is a configuration
# entry.
_OPTION_TYPES: Mapping[str, type] = {
    "enable_cpu_mem_arena": bool,
    "enable_mem_pattern": bool,
    "enable_mem_reuse": bool,
    "enable_profiling": bool,
    "profile_file_prefix": str,
    "execution_mode": int,
    "graph_optimization_level": int,
    "inter_op_num_threads": int,
    "intra_op_num_threads": int,
    "log_severity_level": int,
    "log_verbosity_level": int,
    "logid": str,
    "optimized_model_filepath": str,
    "use_deterministic_compute": bool,
}


def check_session_option(value: object, name: str) -> OptionValue:
    """Refuse a session option that ONNX Runtime does not have, or a value of another type."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # the number of Python that one of NumPy stands for
    if not isinstance(name, str) or not isinstance(value, str | int):
        raise InputTypeError(f"session option {name!r}: {value!r}; expected a name and a string, number or bool")
    if "." in name:
        return value
    expected = _OPTION_TYPES.get(name)
    if expected is None:
        raise InputError(
            f"session option {name!r} is unknown.{nearest(name, _OPTION_TYPES)} "
            f"Known: {', '.join(_OPTION_TYPES)}; and configuration entries with a dot in their name"
        )
    if type(value) is not expected:
        raise InputTypeError(
            f"session option {name}={value!r} is a {type(value).__name__}; expected {expected.__name__}"
        )
    return value


def read_session_options(options: object, name: str = "session_options") -> dict[str, OptionValue] | None:
    """Read names of ``onnxruntime.SessionOptions`` attributes, or configuration entries, with their values."""
    if not isinstance(options, Mapping):
        raise InputTypeError(f"{name} is a {type(options).__name__}; expected a dictionary of names and values")
    return {option: check_session_option(value, option) for option, value in options.items()} or None


def parse_session_options(
    options: Mapping[str, OptionValue] | None, enable_cpu_mem_arena: bool | None
) -> tuple[tuple[str, OptionValue], ...]:
    """Combine the session options with the one that has an argument of its own; sorted and hashable."""
    merged = {} if options is None else read_session_options(options) or {}
    if enable_cpu_mem_arena is not None:
        merged["enable_cpu_mem_arena"] = check_session_option(enable_cpu_mem_arena, "enable_cpu_mem_arena")
    return tuple(sorted(merged.items()))
