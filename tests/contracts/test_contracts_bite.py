"""The contracts refuse plug-ins that break them: each careless class fails at the promise that it breaks."""

import importlib
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

import curate.testing
from curate.layouts.base import Context, Record, Refused
from curate.layouts.points import Points
from curate.rows import Draft, Subject
from curate.schema import Refusal
from curate.tasks.label_caption import LabelCaption
from tests.conftest import ROOT

PLUGINS = """
import pytest
from curate.testing.layouts import LayoutContract
from curate.testing.tasks import TaskContract
from tests.contracts import test_contracts_bite as careless
from tests.contracts.test_layouts import TestPoints as Points
from tests.tasks import subjects as s

@pytest.mark.parametrize("name", ["Trusting", "Curious", "Forgetful"])
class TestLayouts(LayoutContract):
    card, files = Points.card, Points.files
    @pytest.fixture
    def layout(self, name): return getattr(careless, name)

@pytest.mark.parametrize("name", ["Boastful"])
class TestTasks(TaskContract):
    @pytest.fixture
    def task(self, name): return getattr(careless, name)
    @pytest.fixture
    def subjects(self): return s.hand_built()
    @pytest.fixture
    def vocabulary(self): return s.VOCABULARY
"""


class Trusting(Points):
    """Reads its files without asking whether it can."""

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        for entry in self.label_files(context):
            context.read(entry).decode()
        yield from super().scan(context)


class Curious(Points):
    """Looks at the images, too."""

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        for entry in context.images:
            context.read(entry)
        yield from super().scan(context)


class Forgetful(Points):
    """Says everything twice."""

    def scan(self, context: Context) -> Iterator[Record | Refused]:
        yield from super().scan(context)
        yield from super().scan(context)


class Boastful(LabelCaption):
    """Tells what no source says."""

    def draft(self, subject: Subject) -> Iterator[Draft | Refusal]:
        for one in super().draft(subject):
            if isinstance(one, Draft):
                question, answer = one.messages
                told = msgspec.structs.replace(answer, content=f"{answer.content} There are 17 nodules on the left.")
                yield msgspec.structs.replace(one, messages=[question, told])


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The contract tests that the careless plug-ins fail, run as their authors would run them."""
    file = tmp_path_factory.mktemp("plugin") / "test_plugin.py"
    file.write_text(PLUGINS)
    quiet = ["-q", "--tb=no", "-rf", "-p", "no:cacheprovider", "--rootdir", str(file.parent)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    return [line for line in run.stdout.splitlines() if line.startswith("FAILED")]


@pytest.mark.parametrize(
    ("plugin", "promise"),
    [
        ("Trusting", "a_damaged_label_file_is_refused_and_never_raises"),
        ("Trusting", "cannot_be_read_leaves_the_others_as_they_are"),
        ("Curious", "it_reads_its_label_files_and_nothing_else"),
        ("Forgetful", "a_locator_finds_one_thing"),
        ("Boastful", "verification_passes_all_of_it"),
    ],
)
def test_a_broken_promise_fails_its_contract(plugin: str, promise: str, failed: list[str]) -> None:
    assert any(plugin in line and promise in line for line in failed)


def test_what_a_careless_plug_in_keeps_is_not_held_against_it(failed: list[str]) -> None:
    assert not any("Curious" in line and "two_scans_say_the_same" in line for line in failed)
    assert not any("Boastful" in line and "the_image_comes_first" in line for line in failed)


def test_without_hypothesis_the_contracts_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        importlib.reload(curate.testing)
