"""A run: rows in, rows out, into files that another run goes on with, or onto standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.cli.rows import Row, Source, stopped
from onnxembed.cli.vectors.columns import LAYOUTS
from onnxembed.cli.vectors.embedding import Call
from onnxembed.cli.vectors.log import Log, journal, sweep
from onnxembed.cli.vectors.outputs import beside, json_line, write_output, writer_of
from onnxembed.cli.vectors.reading import Reader
from onnxembed.cli.vectors.record import Making, Record
from onnxembed.cli.vectors.stored import read_record
from onnxembed.errors import InputError
from onnxembed.runtime.progress import progress

if TYPE_CHECKING:
    from onnxembed.image.failures import SkippedImage

# What a process that is ended has to do again, at most.
_COMMIT_SECONDS = 2.0
_COMMIT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has done.

    Attributes:
        rows: Rows of the output.
        skipped: Rows of the input that were passed over, by runs before it, too.
        begun_at: Rows that were there when it began.
        seconds: How long it took, the model loaded and the output written.
        reasons: Why rows were passed over by this run; the first ones.
    """

    rows: int
    skipped: int
    begun_at: int
    seconds: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run.

    Attributes:
        model: What embeds the rows, of any kind.
        call: How it is called.
        source: The rows.
        skips: Whether bad rows are passed over.
        shown: Whether progress is shown.
    """

    model: Any
    call: Call
    source: Source
    skips: bool
    shown: bool

    def to_file(self, output: Path, making: Making, *, restart: bool) -> Outcome:
        """Embed into a file, going on where a run before this one has stopped.

        Args:
            output: The file; its ending says the form.
            making: How vectors are made.
            restart: Whether what is there is dropped.

        Returns:
            What was done.

        Raises:
            InputError: If what is there was made otherwise, the input has changed, or a row cannot be used.
        """
        begun = time.monotonic()
        writer_of(output)
        if not output.parent.is_dir():
            raise InputError(f"{output.parent} is no folder; make it first")
        self._spare_input(output)
        folder = output.with_name(f"{output.name}.partial")
        if not restart and journal(folder) is None:
            before = self._complete(output, making)
            if before is not None:
                sweep(folder)
                return Outcome(before.rows, before.skipped, before.rows, time.monotonic() - begun, ())
        log = Log(folder, making, LAYOUTS[self.call.kind], anew=restart)
        try:
            reader = self._reader()
            reader.pass_over(log.record, str(folder))
            begun_at = log.record.rows
            self._fill(log, reader)
            if not log.record.rows:
                raise InputError(f"{self.source.name} has no row to embed; nothing was written")
            write_output(folder, log.record, output)
            log.remove()
        finally:
            if log.record.rows:
                log.close()
            else:  # nothing that another run could go on with
                log.remove()
        seconds = time.monotonic() - begun
        return Outcome(log.record.rows, reader.skipped, begun_at, seconds, tuple(reader.reasons))

    def _spare_input(self, output: Path) -> None:
        """Refuse an output that would take the place of the rows that it is made of."""
        read = self.source.path
        if read is None:
            return
        for path in (output, *beside(output, LAYOUTS[self.call.kind])):
            if path.exists() and path.samefile(read):
                raise InputError(f"{output} would be written over {read}, which is read; name another output")

    def to_stdout(self, text: bool) -> Outcome:
        """Embed onto standard output, as lines of JSON."""
        begun, rows, reader = time.monotonic(), 0, self._reader()
        arrays = LAYOUTS[self.call.kind].arrays
        with progress("Embedding", "row", self.source.count() if self.shown else None, shown=self.shown) as advance:
            for row, result in self._results(reader, advance):
                sys.stdout.write(json_line([row.id, row.text] if text else [row.id], arrays(result)))
                rows += 1
        if reader.failure is not None:
            raise reader.failure
        return Outcome(rows, reader.skipped, 0, time.monotonic() - begun, tuple(reader.reasons))

    def _reader(self) -> Reader:
        return Reader(self.source, skips=self.skips, pictures=self.call.pictures)

    def _complete(self, output: Path, making: Making) -> Record | None:
        """Give the record of an output that this run would make again; ``None`` where there is no output."""
        record = read_record(output)
        if record is None:
            return None
        found = "; ".join(record.making.differences(making))
        if found:
            raise InputError(f"{output} is there and was made otherwise: {found}; pass --restart to replace it")
        reader = self._reader()
        reader.pass_over(record, str(output))
        if reader.more():
            raise InputError(
                f"{output} is there and complete, but {self.source.name} has more than the {record.read} rows it was "
                "made of; pass --restart to replace it"
            )
        return record

    def _fill(self, log: Log, reader: Reader) -> None:
        """Embed all rows that are left."""
        due = time.monotonic() + _COMMIT_SECONDS
        counted = log.record.rows
        total = self.source.count() if self.shown else None
        try:
            with progress("Embedding", "row", total, shown=self.shown, initial=reader.read) as advance:
                for row, result in self._results(reader, advance):
                    log.append(row, result, reader.position)
                    if time.monotonic() >= due or log.record.rows - counted >= _COMMIT_ROWS:
                        log.commit()
                        due, counted = time.monotonic() + _COMMIT_SECONDS, log.record.rows
            log.settle(reader.position)
        finally:
            log.commit()
        if reader.failure is not None:
            raise reader.failure

    def _results(self, reader: Reader, advance: Callable[[int], object]) -> Iterator[tuple[Row, Any]]:
        """Give each row with its result."""
        refused: dict[int, str] = {}

        def note(skipped: SkippedImage) -> None:
            refused[0] = str(skipped.error).partition(": ")[2] or str(skipped.error)

        results: Any = self.call.results(self.model, reader.texts(), note)
        with closing(results):
            for result in results:
                row = reader.done()
                advance(1)
                if result is None:
                    reason = f"{reader.where(row)}: {refused.pop(0)}"
                    if not self.skips:
                        raise stopped(reason)
                    reader.skip(reason)
                else:
                    yield row, result
        reader.finish()
