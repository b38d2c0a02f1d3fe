"""JSON documents that prove themselves: each holds the sha256 of the rest of it."""

import hashlib
from typing import Any

import msgspec

__all__ = ["sealed", "unsealed"]


def sealed(values: dict[str, Any]) -> bytes:
    """A JSON document that holds the sha256 of itself without it: a file that nothing else names proves itself."""
    return _formatted(values | {"sha256": hashlib.sha256(_formatted(values)).hexdigest()})


def unsealed(data: bytes) -> dict[str, Any]:
    """The values of a sealed document.

    Raises:
        ValueError: it is not JSON, or any of its bytes is not as written.
    """
    values = msgspec.json.decode(data)
    if not isinstance(values, dict) or "sha256" not in values:
        raise ValueError("it does not hold its own sha256")
    said = values.pop("sha256")
    if sealed(values) != data:
        raise ValueError(f"it was altered after it was written: its contents do not give the sha256 {str(said)[:12]}…")
    return values


def _formatted(values: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(values, order="sorted"))
