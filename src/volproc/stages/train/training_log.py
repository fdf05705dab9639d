"""The numbers of a training: a CSV file with a row per step, and TensorBoard's files if wanted."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from volproc.engine.records import record_log
from volproc.errors import ConfigError

COLUMNS = ("step", "loss", "learning_rate")


class TrainingLog:
    """FOLDER/log.csv: step, loss and learning rate of every step, scores where it was validated.

    Resumed after `step` steps, what was logged later is written again.
    """

    def __init__(
        self, folder: Path | str, *, step: int, scores: Sequence[str], tensorboard: bool = False
    ) -> None:
        self._columns = (*COLUMNS, *scores)
        self._lines = record_log(f"{folder}/log.csv")
        header = _row(self._columns)
        if step and self._lines.peek()[:1] == [header]:
            self._lines.cut(1 + step)
        else:
            self._lines.begin(header)
        self._board = _board(folder, step) if tensorboard else None

    def add(self, values: Mapping[str, Any], speed: float) -> None:
        """A row: `values` by column, those that are missing empty; `speed` in patches a second.

        The speed is for TensorBoard alone: a training that was resumed has the same rows.
        """
        self._lines.append(_row([_text(values.get(name)) for name in self._columns]))
        if self._board:
            for name, value in {**values, "patches_per_second": speed}.items():
                if value is not None and name != "step":
                    self._board.add_scalar(name, value, values["step"])

    def flush(self) -> None:
        """Write what waits."""
        self._lines.flush()
        if self._board:
            self._board.flush()

    def close(self) -> None:
        """The end."""
        self.flush()
        if self._board:
            self._board.close()


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _row(values: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def require_tensorboard() -> None:
    """ConfigError unless the package is there."""
    try:
        import tensorboard  # noqa: F401 seconds: only for those who want it
    except ImportError as error:
        raise ConfigError(
            "[train] tensorboard needs the package tensorboard: pip install 'volproc[tensorboard]' "
            "or leave it out: log.csv has the same numbers"
        ) from error


def _board(folder: Path | str, step: int) -> Any:
    """What writes TensorBoard's files; later steps of a training that died are dropped there."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(f"{folder}/tensorboard", purge_step=step + 1)
