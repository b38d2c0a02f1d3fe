"""Completers: one small module per way to get requests answered. Plug-ins: entry point group `curate.completers`."""

from collections.abc import Mapping
from typing import Any, Final

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.language.base import Completer, CompleterOptions
from curate.plugins import Registry

__all__ = ["BUILT_IN", "completer_class", "completer_names", "options_of"]

BUILT_IN: Final[Mapping[str, str]] = {
    "batchfile": "curate.language.completers.batchfile:BatchFile",
    "openai": "curate.language.completers.openai:OpenAI",
    "ray": "curate.language.completers.ray:RayData",
    "replay": "curate.language.completers.replay:Replay",
    "vllm": "curate.language.completers.vllm:InProcess",
}
"""Completer: where its class stands."""

_COMPLETERS: Final[Registry[Completer]] = Registry("completer", "curate.completers", BUILT_IN, RecipeError)


def completer_names() -> tuple[str, ...]:
    """Every known completer, sorted."""
    return _COMPLETERS.names


def completer_class(name: str) -> type[Completer]:
    """The class of a completer.

    Raises:
        RecipeError: no completer is called so.
    """
    return _COMPLETERS.named(name)


def options_of(name: str, options: Mapping[str, Any]) -> CompleterOptions:
    """A completer's settings as the recipe gives them.

    Raises:
        RecipeError: no completer is called so, or it does not know one of the settings.
    """
    return convert_strictly(dict(options), completer_class(name).Options, f"completer {name}", RecipeError)
