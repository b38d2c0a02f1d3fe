"""Training formats: one module each, each a pure rendering of the rows of a release."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from curate.card import convert_strictly
from curate.errors import UsageError
from curate.plugins import Registry
from curate.publish.base import Format

__all__ = ["BUILT_IN", "format_class", "format_names", "formats_of", "make_format"]

BUILT_IN: Mapping[str, str] = {
    "class-prompts": "curate.publish.formats.class_prompts:ClassPrompts",
    "hf-parquet": "curate.publish.formats.hf_parquet:HfParquet",
    "kto": "curate.publish.formats.preference:Kto",
    "llava": "curate.publish.formats.llava:Llava",
    "medvlsm": "curate.publish.formats.medvlsm:MedVlsm",
    "ms-swift": "curate.publish.formats.ms_swift:MsSwift",
    "openai": "curate.publish.formats.openai:OpenAi",
    "preference": "curate.publish.formats.preference:Preference",
    "rad-restruct": "curate.publish.formats.rad_restruct:RadRestruct",
    "sharegpt": "curate.publish.formats.sharegpt:ShareGpt",
    "trl": "curate.publish.formats.trl:Trl",
    "verl": "curate.publish.formats.verl:Verl",
    "vlmevalkit": "curate.publish.formats.vlmevalkit:VlmEvalKit",
    "webdataset": "curate.publish.formats.webdataset:WebDataset",
}
"""Format: where its class stands. Plug-ins add theirs by the entry point group `curate.formats`."""

_FORMATS: Final[Registry[Format]] = Registry("format", "curate.formats", BUILT_IN, UsageError)


def format_names() -> tuple[str, ...]:
    """Every known format, sorted."""
    return _FORMATS.names


def format_class(name: str) -> type[Format]:
    """The class of a format.

    Raises:
        UsageError: no format is called so.
    """
    return _FORMATS.named(name)


def make_format(name: str, options: Mapping[str, Any]) -> Format:
    """A format with settings of its own.

    Raises:
        UsageError: no format is called so, or it does not know one of the settings.
    """
    found = format_class(name)
    return found(convert_strictly(dict(options), found.Options, f"format {name}", UsageError))


def formats_of(words: Sequence[str]) -> list[Format]:
    """The formats that a command line names: `NAME`, or `NAME:KEY=VALUE,KEY=VALUE` with settings as YAML writes them.

    Raises:
        UsageError: no format is called so, a setting is not understood, or a format is named twice.
    """
    found = [_format_of(word) for word in words]
    repeated = sorted({form.name for form in found if sum(one.name == form.name for one in found) > 1})
    if repeated:
        raise UsageError(f"the formats {', '.join(repeated)} are named twice; a release holds each once")
    return found


def _format_of(word: str) -> Format:
    name, colon, said = word.partition(":")
    options: dict[str, Any] = {}
    for setting in said.split(",") if colon else ():
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise UsageError(f"--format {word}: settings are written NAME:KEY=VALUE,KEY=VALUE")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--format {word}: the value of {key} is no YAML value; put it in quotes") from None
    return make_format(name, options)
