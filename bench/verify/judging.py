"""The verifier as the bench sees it: a text goes in, a refusal or nothing comes out. The one module that imports it."""

from bench.verify.rows import Row
from curate.rows import Draft
from curate.schema import Refusal
from curate.verify import Verifier
from curate.vocabulary import Vocabulary

__all__ = ["Judge"]


class Judge:
    """Verifiers by vocabulary, kept while rows of one source follow each other."""

    def __init__(self) -> None:
        self._vocabulary: Vocabulary | None = None
        self._verifier: Verifier | None = None

    def verdict(self, row: Row, draft: Draft | None = None) -> Refusal | str | None:
        """Why the row's own text, or another draft of it, is refused; null where it is accepted.

        A verifier that fails on a text has decided nothing: then this is the name of its exception.
        """
        if self._verifier is None or self._vocabulary != row.vocabulary:
            self._vocabulary, self._verifier = row.vocabulary, Verifier(row.vocabulary)
        try:
            return self._verifier.verify(draft or row.draft, row.assets, row.annotations).refusal
        except Exception as problem:  # whatever it is, the bench counts it and goes on
            return type(problem).__name__
