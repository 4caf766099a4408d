"""What is made of the vectors of late-interaction models."""

from fastembed.postprocess.muvera import Muvera

__all__ = ["Muvera"]
