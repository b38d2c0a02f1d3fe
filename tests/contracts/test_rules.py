"""Every rule keeps the contract that plug-ins keep."""

from collections.abc import Callable, Sequence

import pytest

from curate.rows import Subject
from curate.schema import RULES
from curate.testing.rules import RuleContract
from curate.verify import Verifier
from curate.verify.base import Rule
from tests.tasks import subjects as s


@pytest.mark.parametrize("name", RULES)
class TestBuiltIn(RuleContract):
    @pytest.fixture
    def rule(self, name: str) -> Callable[[], Rule]:
        return lambda: next(rule for rule in Verifier(s.VOCABULARY).rules if rule.name == name)

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        return s.hand_built()
