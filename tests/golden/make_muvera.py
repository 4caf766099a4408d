"""Make ``muvera_fastembed.json``: vectors of fastembed 0.9.1's Muvera, for inputs that NumPy's generator makes again.

Usage: ``python tests/golden/make_muvera.py``, with fastembed installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from fastembed.postprocess import Muvera

GOLDEN = Path(__file__).with_name("muvera_fastembed.json")

# dim, k_sim, dim_proj, r_reps, random_seed, rows, type of the rows
CASES = [
    (128, 5, 16, 20, 42, 200, "float32"),
    (128, 5, 16, 20, 42, 3, "float32"),
    (128, 5, 16, 20, 42, 32, "float16"),
    (96, 4, 8, 10, 7, 60, "float32"),
    (64, 1, 64, 3, 1, 20, "float64"),
    (48, 6, 12, 4, 0, 30, "float32"),
    (32, 8, 4, 5, 2, 50, "float32"),
    (16, 7, 16, 2, 3, 1, "float64"),
]


def main() -> None:
    """Write the file."""
    cases = []
    for dim, k_sim, dim_proj, r_reps, random_seed, rows, element in CASES:
        muvera = Muvera(dim, k_sim=k_sim, dim_proj=dim_proj, r_reps=r_reps, random_seed=random_seed)
        vectors = np.random.default_rng(rows).standard_normal((rows, dim)).astype(element)
        vectors[-1] = 0  # on every hyperplane at once
        results = {
            "document": muvera.process_document(vectors),
            "query": muvera.process_query(vectors),
            "filled_sums": muvera.process(vectors, fill_empty_clusters=True, normalize_by_count=False),
            "means": muvera.process(vectors, fill_empty_clusters=False, normalize_by_count=True),
        }
        positions = np.arange(len(results["query"]), dtype=np.float64)
        cases.append(
            {
                "settings": [dim, k_sim, dim_proj, r_reps, random_seed],
                "rows": rows,
                "type": element,
                "results": {
                    name: {
                        "size": len(vector),
                        "first": np.round(vector[:8], 9).tolist(),
                        "every_97th": np.round(vector[::97][:60], 9).tolist(),
                        "non_zeros": int(np.count_nonzero(vector)),
                        "sum": float(vector.sum()),
                        "norm": float(np.linalg.norm(vector)),
                        "wave": float(vector @ np.cos(positions)),  # depends on where each number stands
                    }
                    for name, vector in results.items()
                },
            }
        )
    GOLDEN.write_text(json.dumps({"fastembed": "0.9.1", "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
