"""How fast requests go out: limits per minute as token buckets, and waits between attempts with full jitter.

A bucket holds a tenth of a minute, so that the first minute stays within the limit by a tenth. It may go into debt: a
request larger than the bucket goes out once the bucket is full, and those after it wait.
Waits: M. Brooker, "Exponential Backoff and Jitter", 2015. They are drawn from the request's own id, so that two runs
wait alike, and two requests do not.
"""

import random
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["Bucket", "backoff_s", "retry_after_s"]

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
BURST: Final = 0.1
"""Of a minute."""


class Bucket:
    """A limit per minute that threads share."""

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60.0
        self._most = max(1.0, per_minute * BURST)
        self._level = self._most
        self._clock = clock
        self._seen = clock()
        self._lock = threading.Lock()

    def take(self, amount: float) -> float:
        """Take an amount; how many seconds to wait before it may be spent."""
        with self._lock:
            now = self._clock()
            self._level = min(self._most, self._level + (now - self._seen) * self._rate)
            self._seen = now
            short = min(amount, self._most) - self._level
            self._level -= amount
            return max(0.0, short / self._rate)

    def give_back(self, amount: float) -> None:
        """Give back what was taken and not spent; a negative amount takes what was spent beyond it."""
        with self._lock:
            self._level = min(self._most, self._level + amount)


def backoff_s(request_id: str, attempt: int) -> float:
    """How long to wait after a failed attempt, counted from 0."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt)
    return random.Random(f"{request_id} {attempt}").uniform(0.0, longest)  # noqa: S311 - no secret


def retry_after_s(said: str | None, date: str | None) -> float:
    """The seconds that `Retry-After` asks for (RFC 9110, 10.2.3): a number, or a moment beside the server's own `Date`.

    Zero where it says nothing that can be read.
    """
    if said is None or len(said) > 64:
        return 0.0
    try:
        return max(0.0, min(float(said), 1e9)) if said.strip()[:1].isdigit() else _until(said, date)
    except (ValueError, OverflowError):
        return 0.0


def _until(said: str, date: str | None) -> float:
    moment = parsedate_to_datetime(said).timestamp()
    now = parsedate_to_datetime(date).timestamp() if date is not None else time.time()
    return max(0.0, moment - now)
