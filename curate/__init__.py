"""curate: one proved corpus of instruction image-text pairs from unlike public medical datasets."""

from curate._version import __version__

__all__ = ["__version__", "open_catalog"]


def __getattr__(name: str) -> object:
    if name == "open_catalog":  # polars costs half a second; `import curate` must not
        from curate.catalog import open_catalog

        return open_catalog
    raise AttributeError(f"module 'curate' has no attribute {name!r}")
