"""Groups as connected components: assets that share a subject, a study, a file, their bytes or their pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from curate.schema import identity

__all__ = ["Components", "split_of"]


@dataclass(slots=True)
class Components:
    """Disjoint sets of n members, each named by its smallest member."""

    parents: list[int]
    linked_by: dict[int, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, n: int) -> "Components":
        """n members, each alone."""
        return cls(list(range(n)))

    def find(self, member: int) -> int:
        """The smallest member of the set that `member` is in."""
        root = member
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[member] != root:
            self.parents[member], member = root, self.parents[member]
        return root

    def join(self, members: Sequence[int], link: str) -> None:
        """Put the sets of `members` together; each of them remembers the link."""
        if len(members) < 2:
            return
        first = min(self.find(member) for member in members)
        for member in members:
            self.linked_by.setdefault(member, set()).add(link)
            self.parents[self.find(member)] = first

    def join_equal(self, keys: Iterable[object | None], link: str) -> None:
        """Put members with equal keys together; null is equal to nothing."""
        members: dict[object, list[int]] = {}
        for member, key in enumerate(keys):
            if key is not None:
                members.setdefault(key, []).append(member)
        for together in members.values():
            self.join(together, link)


def split_of(group_id: str, fractions: dict[str, float], seed: str) -> str:
    """The split of a group: a pure function of its name, so that no other group can move it.

    The group's hash is a number in [0, 1); the splits take their fractions of that line in the order given.
    """
    position = int(identity("split", seed, group_id)[:13], 16) / 16**13
    edge = 0.0
    for name, fraction in fractions.items():
        edge += fraction
        if position < edge:
            return name
    return [name for name, fraction in fractions.items() if fraction > 0][-1]
