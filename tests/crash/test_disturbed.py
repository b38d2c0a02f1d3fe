"""A disk that answers with errors in the middle of a build ends it with one line, and the next build finishes it."""

import random
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.crash.small import KILLS, World, curate, run_apart, tree
from tests.crash.test_kills import assert_whole

ROUNDS = 6 * KILLS

pytestmark = pytest.mark.crash

FAILING = """
import errno, os, random
from pathlib import Path

# Each process of a build, driver and workers, has a bad disk of its own.
chance = random.Random(os.environ["BAD_DISK"] + str(os.getppid() % 7))
left = {"fsync": chance.randrange(1, 60), "rename": chance.randrange(1, 25)}

def failing(name, step):
    def run(*args, **kwargs):
        left[name] -= 1
        if left[name] == 0:
            number = chance.choice([errno.EIO, errno.ENOSPC, errno.EDQUOT])
            raise OSError(number, os.strerror(number))
        return step(*args, **kwargs)
    return run

os.fsync = failing("fsync", os.fsync)
Path.rename = failing("rename", Path.rename)
"""


def test_a_disk_with_errors_now_and_then_never_harms_what_is_committed(
    world: World, calm: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    chance = random.Random("disk")
    failed, out = 0, world.out("bad-0")
    for number in range(ROUNDS):
        environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "BAD_DISK": str(chance.randrange(10**6))}
        said = run_apart("build", world.recipe, "--out", out, environment=environment)
        assert said.code in (0, 1), said.text
        assert "Traceback" not in said.text, said.text
        if said.code:
            failed += 1
            assert "then run the same command again" in said.stderr
            assert len(said.stderr.splitlines()) == 1
        assert_whole(out)
        if not said.code or number % 3 == 2:
            assert curate("build", world.recipe, "--out", out).code == 0
            assert curate("gc", out).code == 0
            assert tree(out) == calm
            out = world.out(f"bad-{number + 1}")
    assert failed
