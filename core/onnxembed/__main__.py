"""``python -m onnxembed``."""

from __future__ import annotations

import sys

from onnxembed.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
