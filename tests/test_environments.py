"""The lists of pinned packages hold all that the package needs."""

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PACKAGE = "medcurate"


def needed(name: str, seen: set[str]) -> set[str]:
    """All that must be installed for a package, itself left out, as this environment's packages tell it."""
    for line in requires(name) or []:
        requirement = Requirement(line)
        other = canonicalize_name(requirement.name)
        if other in seen or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(other)
        needed(other, seen)
    return seen


def pinned(name: str) -> dict[str, Version]:
    lines = (ROOT / name).read_text().splitlines()
    pairs = [re.split(r"==|\s", line)[:2] for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-llm.txt"])
def test_every_package_that_is_needed_is_pinned(name: str) -> None:
    assert needed(PACKAGE, set()) - set(pinned(name)) == set()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-llm.txt"])
def test_a_pin_is_as_new_as_the_package_asks_for(name: str) -> None:
    pins = pinned(name)
    for line in requires(PACKAGE) or []:
        requirement = Requirement(line)
        if requirement.marker is None:
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier, line
