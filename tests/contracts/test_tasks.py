"""Every built-in task keeps the contract that plug-ins keep."""

from collections.abc import Sequence

import pytest

from curate.rows import Subject
from curate.tasks import task_class
from curate.tasks.base import Task, Vocabulary
from curate.testing.tasks import TaskContract
from tests.tasks import subjects as s


@pytest.mark.parametrize("name", s.OF_ONE)
class TestBuiltIn(TaskContract):
    @pytest.fixture
    def task(self, name: str) -> type[Task]:
        return task_class(name)

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        return [*s.hand_built(), s.scanned("v1")]

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return s.VOCABULARY
