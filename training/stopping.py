"""SIGTERM and Ctrl-C -> a flag that a training looks at between steps.

Rented machines are taken back on short notice.
"""

from __future__ import annotations

import signal

from command_line import OnSignals


class StopRequested(Exception):
    """A signal asked for the end."""


class StopSignals(OnSignals):
    """Within its `with` block the first SIGTERM or SIGINT is noted in `number`; a second ends the process at once."""

    def __init__(self) -> None:
        super().__init__(self._note, second=signal.SIG_DFL)
        self.number = 0

    def _note(self, number: int) -> None:
        self.number = number

    def check(self) -> None:
        """Raise StopRequested when a signal has come."""
        if self.number:
            raise StopRequested(signal.Signals(self.number).name)
