"""What every task keeps: the same drafts each time, one name per draft, and nothing that verification would refuse."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.rows import Draft, Subject
from curate.schema import Refusal
from curate.tasks.base import SubjectTask, Task, TaskOptions, Vocabulary
from curate.verify import Verifier

__all__ = ["SubjectTaskContract", "TaskContract"]

Drafted = list[tuple[Subject, list[Draft]]]


class _Given:
    """What is given to a task of either scope."""

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        """Label set -> its concepts, sorted."""
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        """Settings of the task that are not the default."""
        return {}


class TaskContract(_Given):
    """Fixtures: `task`, its class; `subjects`, assets with their annotations; `vocabulary`, what label sets can name.

    Among the subjects should be some of which the task has something to say, and some of which it has not.
    """

    @pytest.fixture
    def task(self) -> type[Task]:
        """The class under test."""
        raise NotImplementedError

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        """What is drafted about."""
        raise NotImplementedError

    @pytest.fixture
    def draft(
        self, task: type[Task], vocabulary: Vocabulary, options: Mapping[str, object]
    ) -> Callable[[Sequence[Subject]], Drafted]:
        """Drafts about subjects, each time by a task made anew."""
        settings = convert_strictly({"variants": 3, **options}, task.Options, "contract", RecipeError)

        def make(subjects: Sequence[Subject]) -> Drafted:
            made = task(settings, vocabulary)
            return [(subject, [one for one in made.draft(subject) if isinstance(one, Draft)]) for subject in subjects]

        return make

    def test_it_has_a_name_a_version_and_options(self, task: type[Task]) -> None:
        assert task.name
        assert task.version >= 1
        assert task.scope in ("asset", "subject", "corpus")
        assert issubclass(task.Options, TaskOptions)

    def test_an_option_that_it_does_not_know_is_refused(self, task: type[Task]) -> None:
        with pytest.raises(RecipeError, match="no_such_option"):
            convert_strictly({"no_such_option": 1}, task.Options, "contract", RecipeError)

    def test_it_yields_drafts_or_refusals(
        self, task: type[Task], vocabulary: Vocabulary, subjects: Sequence[Subject]
    ) -> None:
        made = task(task.Options(), vocabulary)
        yielded = [one for subject in subjects for one in made.draft(subject)]
        assert all(isinstance(one, Draft | Refusal) for one in yielded)
        assert any(isinstance(one, Draft) for one in yielded), "none of the subjects gives it anything to say"

    def test_two_runs_draft_the_same(
        self, draft: Callable[[Sequence[Subject]], Drafted], subjects: Sequence[Subject]
    ) -> None:
        assert draft(subjects) == draft(subjects)

    def test_what_is_said_of_one_subject_does_not_depend_on_those_before(
        self, draft: Callable[[Sequence[Subject]], Drafted], subjects: Sequence[Subject]
    ) -> None:
        backwards = draft(list(reversed(subjects)))
        assert list(reversed(backwards)) == draft(subjects)

    def test_each_draft_has_a_name_of_its_own(
        self, draft: Callable[[Sequence[Subject]], Drafted], subjects: Sequence[Subject]
    ) -> None:
        names = Counter(one.draft_id for _, drafts in draft(subjects) for one in drafts)
        assert not [name for name, times in names.items() if times > 1], "two drafts have one draft_id"

    def test_a_draft_names_its_task_its_asset_and_what_it_rests_on(
        self, task: type[Task], draft: Callable[[Sequence[Subject]], Drafted], subjects: Sequence[Subject]
    ) -> None:
        for subject, drafts in draft(subjects):
            known = {annotation.annotation_id for annotation in subject.annotations}
            for one in drafts:
                assert one.task == task.name
                assert one.asset_ids == [subject.asset.asset_id]
                assert set(one.annotation_ids) <= known, "it rests on an annotation of another asset"

    def test_the_image_comes_first(
        self, draft: Callable[[Sequence[Subject]], Drafted], subjects: Sequence[Subject]
    ) -> None:
        for _, drafts in draft(subjects):
            for one in drafts:
                tokens = "<image>\n" * len(one.asset_ids)
                assert [message.role for message in one.messages[:2]] == ["user", "assistant"]
                assert one.messages[0].content.startswith(tokens)
                assert sum(message.content.count("<image>") for message in one.messages) == len(one.asset_ids)

    def test_verification_passes_all_of_it(
        self,
        draft: Callable[[Sequence[Subject]], Drafted],
        subjects: Sequence[Subject],
        vocabulary: Vocabulary,
    ) -> None:
        _verify(draft(subjects), vocabulary)

    def test_of_an_image_without_annotations_it_says_nothing_false(
        self,
        draft: Callable[[Sequence[Subject]], Drafted],
        subjects: Sequence[Subject],
        vocabulary: Vocabulary,
    ) -> None:
        """Neither where a label set looked and found nothing, nor where nobody looked."""
        bare = [Subject(subject.asset, ()) for subject in subjects]
        unseen = [Subject(msgspec.structs.replace(subject.asset, labelled_by=[]), ()) for subject in subjects]
        _verify(draft(bare), vocabulary)
        _verify(draft(unseen), vocabulary)


def _verify(drafted: Drafted, vocabulary: Vocabulary) -> None:
    verifier = Verifier(vocabulary)
    for subject, drafts in drafted:
        for one in drafts:
            refusal = verifier.verify(one, (subject.asset,), subject.annotations).refusal
            told = [message.content for message in one.messages]
            assert refusal is None, f"{refusal.reason if refusal else ''}: {told}"


class SubjectTaskContract(_Given):
    """Of a task of scope `subject`. Fixtures: `task`; `histories`, the assets of some subjects; `vocabulary`.

    Among the histories should be one that gives nothing to say.
    """

    @pytest.fixture
    def task(self) -> type[SubjectTask]:
        """The class under test."""
        raise NotImplementedError

    @pytest.fixture
    def histories(self) -> Sequence[Sequence[Subject]]:
        """What is drafted about."""
        raise NotImplementedError

    @pytest.fixture
    def draft(
        self, task: type[SubjectTask], vocabulary: Vocabulary, options: Mapping[str, object]
    ) -> Callable[[Sequence[Subject]], list[Draft]]:
        """The drafts about one history, each time by a task made anew."""
        settings = convert_strictly({"variants": 3, **options}, task.Options, "contract", RecipeError)

        def make(history: Sequence[Subject]) -> list[Draft]:
            return [one for one in task(settings, vocabulary).draft(history) if isinstance(one, Draft)]

        return make

    def test_it_says_that_it_wants_subjects(self, task: type[SubjectTask]) -> None:
        assert task.name
        assert task.version >= 1
        assert task.scope == "subject"
        assert issubclass(task.Options, TaskOptions)

    def test_of_some_it_speaks_and_of_some_it_does_not(
        self, draft: Callable[[Sequence[Subject]], list[Draft]], histories: Sequence[Sequence[Subject]]
    ) -> None:
        assert {bool(draft(history)) for history in histories} == {True, False}

    def test_the_order_of_a_history_makes_no_difference(
        self, draft: Callable[[Sequence[Subject]], list[Draft]], histories: Sequence[Sequence[Subject]]
    ) -> None:
        for history in histories:
            assert draft(list(reversed(history))) == draft(history)

    def test_a_draft_names_its_assets_in_order_and_what_it_rests_on(
        self,
        task: type[SubjectTask],
        draft: Callable[[Sequence[Subject]], list[Draft]],
        histories: Sequence[Sequence[Subject]],
    ) -> None:
        names: Counter[str] = Counter()
        for history in histories:
            known = {one.asset.asset_id: {a.annotation_id for a in one.annotations} for one in history}
            for one in draft(history):
                names[one.draft_id] += 1
                assert one.task == task.name
                assert set(one.annotation_ids) <= set().union(*(known[asset_id] for asset_id in one.asset_ids))
                assert len(set(one.asset_ids)) == len(one.asset_ids)
                assert one.messages[0].content.startswith("<image>\n" * len(one.asset_ids))
                assert sum(message.content.count("<image>") for message in one.messages) == len(one.asset_ids)
        assert not [name for name, times in names.items() if times > 1], "two drafts have one draft_id"

    def test_verification_passes_all_of_it(
        self,
        draft: Callable[[Sequence[Subject]], list[Draft]],
        histories: Sequence[Sequence[Subject]],
        vocabulary: Vocabulary,
    ) -> None:
        verifier = Verifier(vocabulary)
        for history in histories:
            by_id = {one.asset.asset_id: one for one in history}
            for one in draft(history):
                about = [by_id[asset_id] for asset_id in one.asset_ids]
                annotations = tuple(annotation for subject in about for annotation in subject.annotations)
                refusal = verifier.verify(one, tuple(subject.asset for subject in about), annotations).refusal
                told = [message.content for message in one.messages]
                assert refusal is None, f"{refusal.reason if refusal else ''}: {told}"
