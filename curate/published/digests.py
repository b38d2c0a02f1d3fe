"""Texts as numbers, to find equal ones among many without keeping them."""

import hashlib

__all__ = ["digest", "within"]


def digest(*texts: str) -> int:
    """Texts as a number of 64 bits; what JSON allows and UTF-8 does not (lone surrogates) is no error."""
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "big")


def within(medium: str | bytes) -> str:
    """What stands for the path of a medium that lies in the row itself, as bytes or in base64."""
    data = medium.encode("utf-8", "surrogatepass") if isinstance(medium, str) else medium
    return f"data:{hashlib.blake2b(data, digest_size=8).hexdigest()}"
