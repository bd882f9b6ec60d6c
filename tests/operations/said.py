"""What is logged while something is wrong: to wait for, and to count."""

import logging
from threading import Condition


class Said(logging.Handler):
    """Keeps what is logged from the level ``WARNING`` on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._news = Condition()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._news:
            self._records.append(record)
            self._news.notify_all()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until it was said so often, from the beginning."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.lines(text)) >= count, 60), f"{text!r} was not said"

    def lines(self, text: str = "", logger: str = "wfcore") -> list[str]:
        """What a logger, or one below it, has said that contains a text."""
        found = (record.getMessage() for record in self._records if record.name.startswith(logger))
        return [line for line in found if text in line]

    def clear(self) -> None:
        self._records.clear()
