"""`Questions`: questions embedded online by Ray Serve, those that come at once in one batch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import at_least, check_number, check_text
from onnxembed.batches.embed import EmbedBatches, InputType
from onnxembed.batches.models import missing
from onnxembed.errors import InputError, InputTypeError, OnnxEmbedError

if TYPE_CHECKING:
    from onnxembed.batches.embed import VectorModel


@dataclass(slots=True)
class Batches:
    """The batches of a replica so far.

    Attributes:
        batches: How many ran.
        questions: How many questions were in them.
        largest: The most questions of a batch.
    """

    batches: int = 0
    questions: int = 0
    largest: int = 0


class Questions:
    """A deployment of Ray Serve: ``serve.run(serve.deployment(Questions).bind("BAAI/bge-small-en-v1.5"))``.

    Serve's own batching joins the questions that wait; they run in the pool of the model's asynchronous twins. A bad
    question is an error for its caller, and for no other in its batch. Replicas, processors and GPUs are options of
    Serve's deployment: ``serve.deployment(Questions).options(num_replicas=2, max_ongoing_requests=200)``.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | VectorModel,
        *,
        kind: str | None = None,
        input_type: InputType = "query",
        max_batch_size: int = 32,
        batch_wait_timeout_s: float = 0.005,
    ) -> None:
        """Load the model, in the replica.

        Args:
            model: A model of texts: an object, or a name as `EmbedBatches` takes it.
            kind: As there.
            input_type: As there.
            max_batch_size: Most questions of a batch. Serve hands a replica at most ``max_ongoing_requests`` at once.
            batch_wait_timeout_s: Seconds that a batch waits for more questions.

        Raises:
            InputError: A value is out of range, or does not go with the model.
            MissingExtraError: Ray Serve is not installed.
        """
        try:
            from ray import serve
        except ImportError as error:
            raise missing("Ray Serve", "ray") from error
        at_least(1)(max_batch_size, "max_batch_size")
        check_number(batch_wait_timeout_s, "batch_wait_timeout_s", 0, float("inf"))
        self._embed = EmbedBatches(model, kind=kind, input_type=input_type, on_error="skip")
        self._seen = Batches()
        self._embed.attempt(["ready"])  # loads the weights

        @serve.batch(max_batch_size=max_batch_size, batch_wait_timeout_s=batch_wait_timeout_s)  # type: ignore[untyped-decorator]
        async def together(questions: list[str]) -> list[Any]:
            return await self._answer(questions)

        self._together = together

    async def embed(self, question: str) -> Any:
        """Embed one question; for callers with a handle: ``await handle.embed.remote(question)``.

        Args:
            question: The question.

        Returns:
            float32 (dim,); a `SparseEmbedding`; or float32 (tokens, dim), as the model gives.

        Raises:
            InputError: The question cannot be used.
        """
        answer = await self._together(check_text(question, 0))
        if isinstance(answer, OnnxEmbedError):
            raise answer
        return answer

    async def batches(self) -> dict[str, int]:
        """Count the ``batches`` of this replica so far, their ``questions``, and the ``largest`` of them."""
        return asdict(self._seen)

    async def __call__(self, request: Any) -> Any:
        """Answer ``{"input": "a question"}``, or a list of them, posted as JSON, with OpenAI's list of embeddings.

        Args:
            request: Starlette's request.

        Returns:
            Starlette's response; 400 with the reason for input that cannot be used.
        """
        from asyncio import gather

        from starlette.responses import JSONResponse

        try:
            asked = _asked(await request.body())
            vectors = await gather(*map(self.embed, asked))
        except (InputError, InputTypeError) as error:
            return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error"}}, status_code=400)
        data = [
            {"object": "embedding", "index": index, "embedding": _plain(vector)} for index, vector in enumerate(vectors)
        ]
        return JSONResponse({"object": "list", "model": self._embed.model.model_name, "data": data})

    async def _answer(self, questions: list[str]) -> list[Any]:
        seen = self._seen
        seen.batches += 1
        seen.questions += len(questions)
        seen.largest = max(seen.largest, len(questions))
        rows = await self._embed.model.run_async(partial(self._embed.attempt, questions))
        return [rows.errors.get(row, vector) for row, vector in enumerate(rows.vectors)]


def _asked(body: bytes) -> list[str]:
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise InputError(f"the body is no JSON ({error}); expected {{'input': 'a question'}}") from None
    texts = asked.get("input") if isinstance(asked, dict) else None
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list):
        raise InputError("the body has no 'input' with a text or a list of texts; expected {'input': 'a question'}")
    return [check_text(text, index) for index, text in enumerate(texts)]


def _plain(vector: Any) -> Any:
    parts = getattr(vector, "as_object", None)
    return vector.tolist() if parts is None else {name: array.tolist() for name, array in parts().items()}
