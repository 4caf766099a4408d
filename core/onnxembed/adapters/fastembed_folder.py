"""The door to what is known of the folder ``fastembed``, for the distribution that stands in for the real one."""

from __future__ import annotations

from onnxembed.care.stand_in import write_stand_in
from onnxembed.runtime.fastembed_packages import OURS, STAND_IN_VERSION, both_installed, real_fastembed

__all__ = ["OURS", "STAND_IN_VERSION", "refuse_real_fastembed", "write_stand_in"]


def refuse_real_fastembed() -> None:
    """Raise an ImportError where the real fastembed is installed: its files and ours would be mixed."""
    real = real_fastembed()
    if real is not None:
        fault = both_installed(real)
        raise ImportError(
            f"{fault.problem}: {fault.mend}; python -m fastembed.stand_in builds a wheel for packages that require it"
        )
