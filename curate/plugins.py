"""Classes by name: built in, or plugged in by an entry point. Imported when first asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

__all__ = ["Registry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registry(Generic[T]):
    """The classes of one kind, which errors call `kind`.

    `built_in`: name -> `module:class`; plug-ins add theirs by the entry point group. `error`: what a name that leads
    nowhere raises.
    """

    kind: str
    group: str
    built_in: Mapping[str, str]
    error: type[Exception]

    @property
    def names(self) -> tuple[str, ...]:
        """Every known name, sorted."""
        return tuple(sorted({*self.built_in, *entry_points(group=self.group).names}))

    def named(self, name: str, where: str | None = None) -> type[T]:
        """The class of this name; `where` it was written stands before the message of an error.

        Raises:
            Exception: the `error`, where there is none of this name, or of a plug-in that two claim or that does not
                import.
            ImportError: of one that is built in, whose libraries are not installed.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            return cast(type[T], getattr(import_module(module), attribute))
        place = "" if where is None else f"{where}: "
        found = list(entry_points(group=self.group, name=name))
        if not found:
            known = ", ".join(self.names)
            raise self.error(f"{place}no {self.kind} is called {name!r}; known {self.kind}s: {known}")
        if len({point.value for point in found}) > 1:
            claims = ", ".join(sorted(point.value for point in found))
            raise self.error(f"{place}{self.kind} {name!r} is claimed by {claims}; uninstall all but one")
        try:
            return cast(type[T], found[0].load())
        except (ImportError, AttributeError) as problem:
            raise self.error(
                f"{place}{self.kind} {name!r} of {found[0].value} does not import: {problem}; correct or uninstall it"
            ) from None
