"""Rates with an interval that holds at 0 and 1 too."""

import math
from dataclasses import dataclass

__all__ = ["Rate", "wilson"]

Z_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a share of n independent trials (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Without trials nothing is known: (0, 1).
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n} trials")
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if hits == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if hits == n else min(1.0, (centre + spread) / scale)
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """So many hits of n."""

    hits: int
    n: int

    @property
    def share(self) -> float | None:
        """Null where nothing was tried."""
        return self.hits / self.n if self.n else None

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.hits + other.hits, self.n + other.n)

    def as_json(self) -> dict[str, float | int | None]:
        """Count, share and interval, the shares rounded to six places."""
        low, high = wilson(self.hits, self.n)
        share = None if self.share is None else round(self.share, 6)
        return {"hits": self.hits, "n": self.n, "share": share, "low": round(low, 6), "high": round(high, 6)}

    def __str__(self) -> str:
        if self.share is None:
            return f"{'':>7} {'-':>8}"
        low, high = wilson(self.hits, self.n)
        return f"{self.n:>7,} {self.share:>8.2%}  [{low:.2%}, {high:.2%}]"
