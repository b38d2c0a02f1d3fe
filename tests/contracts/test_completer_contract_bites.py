"""The contract of completers refuses each careless class at the promise that it breaks."""

import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest

from curate.language.base import Answer, CompleterOptions, Failure, ImageSource, Outcome, Request, Trouble, Where
from tests.conftest import ROOT

PLUGINS = """
import pytest
from curate.testing.completers import CompleterContract
from tests.contracts import test_completer_contract_bites as careless

@pytest.mark.parametrize("name", ["Fair", "Forgetful", "Twice", "Greedy", "Telling", "Raising", "Loud", "Lax"])
class TestCompleters(CompleterContract):
    @pytest.fixture
    def options(self, name): return getattr(careless, name).Options()
    @pytest.fixture
    def completer(self, name, options): return getattr(careless, name)("model", None, options)
"""


class Fair:
    """Answers whatever is short enough."""

    name = "fair"
    Options: type[CompleterOptions] = CompleterOptions

    def __init__(self, model: str, revision: str | None, options: CompleterOptions) -> None:
        pass

    @staticmethod
    def place(options: CompleterOptions) -> Where:
        return Where.LOCAL

    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        for asked in requests:
            yield self.one(asked)

    def one(self, asked: Request) -> Outcome:
        if len(asked.body) > 100_000:
            return Failure(asked.request_id, Trouble.REQUEST_TOO_LONG, "HTTP 400")
        return Answer(asked.request_id, "{}", "stop", "model", "fair")

    def close(self) -> None:
        pass


class Forgetful(Fair):
    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        return (self.one(asked) for number, asked in enumerate(requests) if number != 1)


class Twice(Fair):
    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        return (self.one(asked) for asked in requests for _ in "ab")


class Greedy(Fair):
    def complete(self, requests: Iterable[Request], images: ImageSource) -> Iterator[Outcome]:
        return (self.one(asked) for asked in list(requests))


class Telling(Fair):
    def one(self, asked: Request) -> Outcome:
        found = super().one(asked)
        detail = asked.body[:2000].decode()
        return Failure(asked.request_id, found.trouble, detail) if isinstance(found, Failure) else found


class Raising(Fair):
    def one(self, asked: Request) -> Outcome:
        found = super().one(asked)
        if isinstance(found, Failure):
            raise ValueError("too long")
        return found


class Loud(Fair):
    def one(self, asked: Request) -> Outcome:
        print(asked.body[:2000])
        return super().one(asked)


class LaxOptions(CompleterOptions, frozen=True, forbid_unknown_fields=False):
    """Takes any setting."""


class Lax(Fair):
    Options = LaxOptions


CAUGHT = {
    "Forgetful": "test_every_request_has_one_outcome",
    "Twice": "test_every_request_has_one_outcome",
    "Greedy": "test_requests_are_taken_as_they_are_needed",
    "Telling": "test_nothing_that_was_asked_is_shown",
    "Raising": "test_a_request_that_cannot_be_answered_harms_no_other",
    "Loud": "test_nothing_that_was_asked_is_shown",
    "Lax": "test_it_says_what_it_is",
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Which tests of the contract failed, as `test[Class]`."""
    file = tmp_path_factory.mktemp("contract") / "test_plugins.py"
    file.write_text(PLUGINS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "--rootdir", str(ROOT), str(file)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in said.stdout.splitlines() if line.startswith("FAILED")]
    assert lines, said.stdout[-2000:]
    return {line.split("::")[-1].split(" ")[0] for line in lines}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_careless_completer_fails_at_the_promise_that_it_breaks(name: str, failed: set[str]) -> None:
    assert f"{CAUGHT[name]}[{name}]" in failed


def test_a_careful_one_passes(failed: set[str]) -> None:
    assert not [each for each in failed if each.endswith("[Fair]")]
