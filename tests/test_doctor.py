"""`curate doctor` looks for what the package says it needs, and for nothing else as a must."""

import re
import tomllib
from pathlib import Path

from curate.doctor import examine
from tests.conftest import ROOT


def test_every_dependency_of_the_package_is_looked_for(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[A-Za-z0-9._-]+", line).group() for line in project["dependencies"]}  # type: ignore[union-attr]
    found = {finding.name: finding for finding in examine(tmp_path)}
    assert wanted <= set(found)
    assert all(found[name].ok for name in wanted)


def test_what_is_missing_has_a_remedy(tmp_path: Path) -> None:
    assert all(finding.remedy for finding in examine(tmp_path) if finding.ok is False)
