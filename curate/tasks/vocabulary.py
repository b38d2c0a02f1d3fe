"""What a label set can name, and what its silence means where it says nothing at all about an asset."""

from collections.abc import Iterable

from curate.schema import World

__all__ = ["Names"]


class Names(tuple[str, ...]):
    """The concepts of one label set, sorted, with the card's word on its silence.

    A plain tuple will do in a `Vocabulary`; then an asset about which the set says nothing yields no zero and no
    absence, because nothing tells what that silence means.
    """

    world: World
    exhaustive: bool

    def __new__(cls, names: Iterable[str], *, world: World = World.OPEN, exhaustive: bool = False) -> "Names":
        """The names, sorted and each once."""
        self = super().__new__(cls, sorted(set(names)))
        self.world = world
        self.exhaustive = exhaustive
        return self
