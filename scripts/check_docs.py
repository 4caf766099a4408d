"""Looks at the built documentation: every public name has its place in the reference, every page its title.

python scripts/check_docs.py build/site
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from docs_hooks import REFERENCE, identifier, names


def missing(site: Path) -> list[str]:
    """Return the public names that no page of the reference defines."""
    found = []
    for page in REFERENCE:
        text = (site / page.path).with_suffix("").joinpath("index.html").read_text(encoding="utf-8")
        wanted = [identifier(module, name) for module in page.modules for name in names(module)]
        found += [name for name in wanted if f'id="{name}"' not in text]
    return found


if __name__ == "__main__":
    absent = missing(Path(sys.argv[1]))
    print(*(f"{name}: not in the reference" for name in absent), sep="\n", file=sys.stderr)
    sys.exit(1 if absent else 0)
