"""Makes ``linear.pt`` with PyTorch: the state of a linear layer, as heads are published.

Run as ``python -m tests.golden.make_torch_file``.
"""

from __future__ import annotations

from pathlib import Path

import torch


def main() -> None:
    """Write the file."""
    layer = torch.nn.Linear(3, 2)
    layer.weight.data = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 8
    layer.bias.data = torch.tensor([-1.5, 0.25])
    target = Path(__file__).with_name("linear.pt")
    torch.save({**layer.half().state_dict(), "wide": layer.bias.to(torch.bfloat16)}, target)


if __name__ == "__main__":
    main()
