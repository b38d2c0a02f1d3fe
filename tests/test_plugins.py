"""A plug-in is found by its name; one that is not there, claimed twice or broken is told before anything is built."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from curate.errors import CurateError, RecipeError, UsageError
from curate.execute import Executing
from curate.language.completers import completer_class
from curate.publish.formats import format_class, format_names
from curate.tasks import task_class

KINDS: list[tuple[str, Callable[[str], object], type[CurateError]]] = [
    ("tasks", task_class, RecipeError),
    ("formats", format_class, UsageError),
    ("completers", completer_class, RecipeError),
    ("executors", lambda name: Executing(name).open(), UsageError),
]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint(name, value, f"curate.{kind}")
        for kind, _, _ in KINDS
        for name, value in (
            ("mine", "curate.publish.formats.llava:Llava"),
            ("broken", "nowhere.to.be.found:Class"),
            ("twice", "one:Class"),
            ("twice", "other:Class"),
        )
    ]
    monkeypatch.setattr("curate.plugins.entry_points", EntryPoints(points).select)


def test_a_plug_in_stands_among_those_that_are_built_in() -> None:
    assert {"mine", "llava"} <= set(format_names())
    assert format_class("mine").name == "llava"


@pytest.mark.parametrize(("kind", "find", "error"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_a_name_that_leads_nowhere_is_an_error_with_a_remedy(
    kind: str, find: Callable[[str], object], error: type[CurateError]
) -> None:
    for name, told in (
        ("nobody", f"no {kind[:-1]} is called 'nobody'; known {kind}: "),
        ("broken", "nowhere.to.be.found:Class does not import"),
        ("twice", "claimed by one:Class, other:Class; uninstall all but one"),
    ):
        with pytest.raises(error, match=told):
            find(name)
