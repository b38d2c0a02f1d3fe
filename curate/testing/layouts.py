"""What every layout keeps, whoever wrote it: sorted files, the same units each time, no pixels, no exceptions."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import shake_256
from pathlib import Path
from typing import Final

import pytest
import yaml

from curate.card import Card, LabelSet, convert_strictly, parse_card
from curate.errors import CardError, DataError
from curate.layouts.base import Context, Layout, LayoutOptions, Record, Refused
from curate.layouts.tree import Entry, Reader, Tree
from curate.schema import Refusal

__all__ = ["DAMAGES", "LayoutContract"]

Units = list[Record | Refused]


def _noise(data: bytes) -> bytes:
    """As many bytes that mean nothing, drawn from what they replace."""
    return b"\xff\x00" + shake_256(data).digest(max(len(data), 64))


DAMAGES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "cut before its last byte": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "random bytes": _noise,
    "in UTF-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "holding a NUL": lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 :],
    "twice in itself": lambda data: data + data,
    "nested deeply": lambda data: b"[" * 100_000,
}
"""What happens to label files on their way: each must be survived."""


@dataclass
class _Scan:
    """One scan of a folder: its units, and which files were read. `damaged` replaces what `read` gives."""

    layout: type[Layout]
    card: Card
    root: Path
    damaged: Mapping[str, bytes | OSError] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def units(self) -> Units:
        with Reader(self.root) as reader:
            return list(self.layout().scan(self._context(reader)))

    def label_files(self) -> list[Entry]:
        with Reader(self.root) as reader:
            return self.layout().label_files(self._context(reader))

    def _context(self, reader: Reader) -> Context:
        labels = self.card.labels[0]
        tree = Tree.scan(self.root, (*self.card.images.globs, *labels.files))

        def read(entry: Entry) -> bytes:
            self.read.add(entry.key)
            found = self.damaged.get(entry.key)
            if isinstance(found, OSError):
                raise found
            return reader.read(entry.path, entry.member) if found is None else found

        options = _options(self.layout, labels)
        images = tree.match(self.card.images.globs)
        return Context(card=self.card, labels=labels, options=options, tree=tree, read=read, images=images)


def _options(layout: type[Layout], labels: LabelSet, **more: object) -> LayoutOptions:
    return convert_strictly({**labels.options, **more}, layout.Options, "contract", CardError)


class LayoutContract:
    """Fixtures: `layout`, its class; `card`, YAML with one label set of it; `files`, path -> bytes of a small folder.

    The folder should hold every kind of thing that the layout tells, and labels of at least two images.
    """

    @pytest.fixture
    def layout(self) -> type[Layout]:
        """The class under test."""
        raise NotImplementedError

    @pytest.fixture
    def card(self) -> str:
        """A card as YAML, whose first label set is of this layout."""
        raise NotImplementedError

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        """Paths below the data root and what they hold."""
        raise NotImplementedError

    @pytest.fixture
    def scan(self, layout: type[Layout], card: str, files: Mapping[str, bytes], tmp_path: Path) -> Callable[..., _Scan]:
        """Scans the files, written in their order or backwards, whole or damaged."""
        parsed = parse_card(yaml.safe_load(card), "contract")

        def make(*, backwards: bool = False, damaged: Mapping[str, bytes | OSError] | None = None) -> _Scan:
            root = tmp_path / ("backwards" if backwards else "forwards")
            for path, data in reversed(list(files.items())) if backwards else files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
            return _Scan(layout, parsed, root, damaged or {})

        return make

    def test_it_has_a_name_a_version_and_options(self, layout: type[Layout], card: str) -> None:
        assert layout.name == parse_card(yaml.safe_load(card), "contract").labels[0].layout
        assert layout.version >= 1
        assert issubclass(layout.Options, LayoutOptions)

    def test_an_option_that_it_does_not_know_is_refused(self, layout: type[Layout], card: str) -> None:
        labels = parse_card(yaml.safe_load(card), "contract").labels[0]
        with pytest.raises(CardError, match="no_such_option"):
            _options(layout, labels, no_such_option=1)

    def test_label_files_are_sorted_and_stand_once(self, scan: Callable[..., _Scan]) -> None:
        files = scan().label_files()
        assert files == sorted(set(files)), "label_files gives files unsorted or twice"

    def test_it_says_something(self, scan: Callable[..., _Scan]) -> None:
        units = scan().units()
        assert all(isinstance(unit, Record | Refused) for unit in units), "a unit is neither Record nor Refused"
        assert any(isinstance(unit, Record) and unit.annotations for unit in units), "the files say nothing"

    def test_two_scans_say_the_same_whatever_the_order_of_files_on_disk(self, scan: Callable[..., _Scan]) -> None:
        units = scan().units()
        assert units == scan().units(), "two scans differ"
        assert units == scan(backwards=True).units(), "the order in which files were written shows"

    def test_a_locator_finds_one_thing(self, scan: Callable[..., _Scan]) -> None:
        units = scan().units()
        said = Counter(
            (unit.file, one.kind, one.locator) for unit in units if isinstance(unit, Record) for one in unit.annotations
        )
        assert not [key for key, times in said.items() if times > 1], "two annotations of one file, kind and locator"
        met = Counter((unit.file, unit.unit, unit.locator) for unit in units)
        assert not [key for key, times in met.items() if times > 1], "two units of one file and locator"

    def test_it_reads_its_label_files_and_nothing_else(self, scan: Callable[..., _Scan]) -> None:
        one = scan()
        one.units()
        assert one.read <= {entry.key for entry in one.label_files()}, "images and masks are not opened by a layout"

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_label_file_is_refused_and_never_raises(
        self, damage: str, scan: Callable[..., _Scan], files: Mapping[str, bytes]
    ) -> None:
        for path, units in self._with_each_damaged(scan, files, DAMAGES[damage]):
            assert all(isinstance(unit, Record | Refused) for unit in units)
            for unit in units:
                if isinstance(unit, Refused):
                    assert isinstance(unit.refusal, Refusal)
            if damage == "random bytes":
                refused = [unit for unit in units if isinstance(unit, Refused) and unit.file == path]
                assert refused, f"{path} holds random bytes, and nothing of it was refused"

    def test_a_label_file_that_cannot_be_read_leaves_the_others_as_they_are(
        self, scan: Callable[..., _Scan], files: Mapping[str, bytes]
    ) -> None:
        whole = scan().units()
        for path, units in self._with_each_damaged(scan, files, lambda _: OSError(5, "Input/output error")):
            assert any(isinstance(unit, Refused) and unit.file == path for unit in units), f"{path} is not refused"
            others = [unit for unit in units if unit.file != path]
            assert others == [unit for unit in whole if unit.file != path], f"without {path} other files say else"

    @staticmethod
    def _with_each_damaged(
        scan: Callable[..., _Scan], files: Mapping[str, bytes], damage: Callable[[bytes], bytes | OSError]
    ) -> Iterator[tuple[str, Units]]:
        """The units when one label file after the other is damaged.

        A file on which all others rest, such as one of class names, may end the scan by a `DataError` instead.
        """
        for entry in scan().label_files():
            try:
                yield entry.key, scan(damaged={entry.key: damage(files[entry.path])}).units()
            except DataError as problem:
                assert entry.path.rpartition("/")[2] in str(problem), "a DataError names the file that is wrong"
