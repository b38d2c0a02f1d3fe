"""How many false texts are caught, and how many true ones refused."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from curate.rows import Draft, Subject
from curate.verify import Verifier
from tests.tasks.subjects import VOCABULARY, drafts_of, hand_built, voc_subjects
from tests.verify.mutants import mutants


def _bench(subjects: Iterable[Subject], variants: int) -> tuple[Counter[str], list[tuple[str, Draft]], list[Draft]]:
    """Mutants made, those that went through, and the true texts that were refused."""
    made: Counter[str] = Counter()
    survivors, refused = [], []
    for subject in subjects:
        verifier = Verifier(VOCABULARY)
        for draft in drafts_of(subject, variants=variants):
            if verifier.verify(draft, (subject.asset,), subject.annotations).refusal:
                refused.append(draft)
            for name, mutant in mutants(draft, subject):
                if mutant.messages == draft.messages:
                    continue
                made[name] += 1
                if verifier.verify(mutant, (subject.asset,), subject.annotations).refusal is None:
                    survivors.append((name, mutant))
    return made, survivors, refused


def test_every_mutant_of_hand_built_drafts_is_caught_and_no_true_text_is_refused() -> None:
    made, survivors, refused = _bench(hand_built(), variants=3)
    assert refused == []
    assert [(name, [m.content for m in mutant.messages]) for name, mutant in survivors] == []
    assert made.total() > 1000
    assert len(made) >= 15


def test_every_mutant_of_drafts_about_real_blood_smears_is_caught(test_data: Callable[[str], Path]) -> None:
    made, survivors, refused = _bench(voc_subjects(test_data("bccd"), limit=12), variants=1)
    assert refused == []
    assert [(name, [m.content for m in mutant.messages]) for name, mutant in survivors] == []
    assert made.total() > 1000
