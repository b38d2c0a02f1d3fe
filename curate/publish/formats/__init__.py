"""Training formats: one module each, each a pure rendering of the rows of a release."""

from collections.abc import Mapping
from typing import Any

from curate import plugins
from curate.card import convert_strictly
from curate.errors import UsageError
from curate.publish.base import Format

__all__ = ["BUILT_IN", "format_class", "format_names", "make_format"]

BUILT_IN: Mapping[str, str] = {
    "hf-parquet": "curate.publish.formats.hf_parquet:HfParquet",
    "kto": "curate.publish.formats.preference:Kto",
    "llava": "curate.publish.formats.llava:Llava",
    "ms-swift": "curate.publish.formats.ms_swift:MsSwift",
    "openai": "curate.publish.formats.openai:OpenAi",
    "preference": "curate.publish.formats.preference:Preference",
    "sharegpt": "curate.publish.formats.sharegpt:ShareGpt",
    "trl": "curate.publish.formats.trl:Trl",
    "verl": "curate.publish.formats.verl:Verl",
    "vlmevalkit": "curate.publish.formats.vlmevalkit:VlmEvalKit",
    "webdataset": "curate.publish.formats.webdataset:WebDataset",
}
"""Format: where its class stands. Plug-ins add theirs by the entry point group `curate.formats`."""


def format_names() -> tuple[str, ...]:
    """Every known format, sorted."""
    return plugins.names("curate.formats", BUILT_IN)


def format_class(name: str) -> type[Format]:
    """The class of a format.

    Raises:
        UsageError: no format is called so.
    """
    found: type[Format] | None = plugins.class_named(name, "curate.formats", BUILT_IN)
    if found is None:
        raise UsageError(f"no format is called {name!r}; known formats: {', '.join(format_names())}")
    return found


def make_format(name: str, options: Mapping[str, Any]) -> Format:
    """A format with settings of its own.

    Raises:
        UsageError: no format is called so, or it does not know one of the settings.
    """
    found = format_class(name)
    return found(convert_strictly(dict(options), found.Options, f"format {name}", UsageError))
