"""Write ``bm25_fastembed.json``: what fastembed 0.9.1 gives for random texts of many scripts.

Run with an interpreter that has fastembed 0.9.1: ``python tests/golden/make_bm25.py``. Nothing is downloaded: the stop
words are those of this package.
"""

import json
import random
from pathlib import Path

from fastembed.sparse.bm25 import Bm25

HERE = Path(__file__).parent
STOP_WORDS = HERE.parent.parent / "core" / "onnxembed" / "sparse" / "stop_words"

WORDS = {
    "arabic": "المدرسة يكتبون الكتاب في من ذَهَبَ الطَّالِبُ مـــكتب والمعلمون ١٢٣",
    "danish": "undersøgelse havnen og det er børnene Ærø blåbærgrød",
    "dutch": "lichamelijk opgevangen de het een mogelijkheden zo'n 's-avonds",
    "english": "The running foxes' don't naïve snake_case __ _ x re-use 3.14 CO₂ hello kitchens prostaglandins I'm",
    "finnish": "edeltäjiinsä talossa on ja hyvää ÄÄNI päivää",
    "french": "l'été grenouilles continuellement où œuvre ÇA naïveté aujourd’hui",
    "german": "Häuser größten STRASSE Straße und die Übermäßig ẞ Mädchen",
    "greek": "άνθρωποι ΟΔΟΣ Σ ΑΣ'Α ΒΙΒΛΊΟ και της Μαΐου",
    "hungarian": "babakocsi babájukért és a hogy ŐRÜLT",
    "italian": "abbandonata l'acqua perché della città È",
    "norwegian": "havnedistriktene og jeg på blåbær ØL",
    "portuguese": "quilométricas não você ações À",
    "romanian": "oamenilor cunoștințe cunoştinţe școală şi în Țara",
    "russian": "книгами бегущий и не ЁЛКА Москва",
    "spanish": "corriendo niños el la ¿qué? AÑO",
    "swedish": "jaktkarlarne och det ÅÄÖ flickorna",
    "tamil": "சென்னை தலைநகரம் தமிழ் மொழி",
    "turkish": "kitapçığımızdan İstanbul ISPARTA ve bir ığdır çok",
}
FOREIGN = [
    *[
        "हिन्दी",
        "भाषा",
        "ภาษาไทย",
        "我来到北京",
        "３月",
        "한국어",
        "שָׁלוֹם",
        "ﬁn",
        "—",
        "“quoted”",
        "😀",
        "❤️",
        "²",
        "½",
        "Ⅷ",
    ],
    *["e\u0301", "a\u00adb", "c\u200dd", "\x01", "\x1c", "\u2028"],
]


def text_of(words: list[str], rng: random.Random) -> str:
    parts = [rng.choice(words) if rng.random() < 0.9 else rng.choice(FOREIGN) for _ in range(rng.randint(0, 14))]
    return "".join(part + rng.choice([" ", " ", " ", ", ", "-", "’", "\n", "\u00a0", ". "]) for part in parts)


def main() -> None:
    rng = random.Random(20)
    rows = []
    for language, words in WORDS.items():
        model = Bm25("Qdrant/bm25", language=language, specific_model_path=str(STOP_WORDS))
        for _ in range(11):
            text = text_of(words.split(), rng)
            (document,) = model.embed([text])
            (query,) = model.query_embed([text])
            rows.append(
                {
                    "language": language,
                    "text": text,
                    "document": sorted(zip(document.indices.tolist(), document.values.tolist(), strict=True)),
                    "query": sorted(query.indices.tolist()),
                    "token_count": model.token_count([text]),
                }
            )
    body = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows)
    (HERE / "bm25_fastembed.json").write_text(f"[\n{body}\n]\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
