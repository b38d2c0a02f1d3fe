"""Classes by name: built in, or plugged in by an entry point. Imported when first asked for."""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

__all__ = ["class_named", "names"]


def names(group: str, built_in: Mapping[str, str]) -> tuple[str, ...]:
    """Every known name, sorted."""
    return tuple(sorted({*built_in, *(point.name for point in entry_points(group=group))}))


def class_named(name: str, group: str, built_in: Mapping[str, str]) -> Any:
    """The class of this name, or None where nothing is called so; `built_in` says `module:class`."""
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=group, name=name):
        return point.load()
    return None
