"""Cards and recipes: what they may say, and how clearly they complain."""

from pathlib import Path

import pytest
import yaml

from curate.card import load_card, parse_card
from curate.errors import CardError, RecipeError, UsageError
from curate.plan import check_card
from curate.recipe import load_recipe
from curate.schema import World
from curate.terms import TermsClass, terms_class

CATALOGS = Path(__file__).parents[1] / "catalogs"
PIPELINES = Path(__file__).parents[1] / "pipelines"


def card(**changes: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "id": "smears",
        "title": "Blood smears",
        "source": {"home": "example.org"},
        "terms": {"licence": "MIT", "quote": "MIT", "read_at": "LICENSE"},
        "images": {"glob": "*.jpg"},
        "subject": {"none": "not published"},
    }
    return plain | changes


@pytest.mark.parametrize("path", sorted(CATALOGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_card_is_sound_and_named_after_its_file(path: Path) -> None:
    shipped = load_card(path)
    check_card(shipped)
    assert shipped.id == path.stem
    assert shipped.terms.quote
    assert shipped.terms.read_at


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_sound_and_named_after_its_file(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_silence_means_nothing_unless_the_card_says_so() -> None:
    labels = parse_card(card(labels=[{"layout": "folders"}]), "card").labels[0]
    assert labels.world is World.OPEN
    assert labels.exhaustive is False


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"deidentified": True}, "`deidentified`; it belongs under `terms`"),
        ({"terms": {"licence": "MIT", "quote": "MIT", "read_at": "x", "modality": "CT"}}, "it belongs at the top"),
        ({"labels": [{"layout": "voc", "files": "*.xml", "exhastive": True}]}, "exhaustive"),
        ({"image": {"glob": "*"}}, "did you mean `images`"),
        ({"subject": {"none": "x", "column": "y"}}, "exactly one"),
        ({"subject": {"pattern": "(?P<patient>.)"}}, r"\(\?P<subject>"),
        ({"subject": {"pattern": "("}}, "regular expression"),
        ({"split": {"lists": "train.txt"}}, r"\{split\}"),
        ({"id": "Blood Smears"}, "lower-case"),
        ({"labels": [{"layout": "folders"}, {"layout": "folders"}]}, "two label sets"),
        ({"labels": [{"layout": "vocc", "files": "*.xml"}]}, "vocc"),
        ({"labels": [{"layout": "voc"}]}, "needs `files`"),
        ({"terms": {"licence": "MTI", "quote": "", "read_at": ""}}, "SPDX"),
        ({"terms": {"licence": "MIT", "quote": ""}}, "read_at"),
        ({"expected_rejects": {"missing_files": 3}}, "missing_files"),
    ],
)
def test_a_slip_in_a_card_is_named_with_its_remedy(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(CardError, match=complaint):
        check_card(parse_card(card(**changes), "smears.yaml"))


def test_a_card_that_is_not_there_or_not_yaml_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_card(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("id: [")
    with pytest.raises(UsageError, match="line 1"):
        load_card(broken)
    broken.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_card(broken)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"split": {"fractions": {"train": 0.9}}}, "sum to 1"),
        ({"tasks": [{"name": "count", "variants": "two"}]}, "variants"),
        ({"sorces": []}, "did you mean `sources`"),
        ({"rewrite": {"completer": "vllm"}}, "model"),
        ({"rewrite": {"model": "m", "completer": "vllm", "temperature": -1}}, "temperature"),
    ],
)
def test_a_slip_in_a_recipe_is_named(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "r", "sources": ["bccd"], "tasks": ["count"]} | changes))
    with pytest.raises(RecipeError, match=complaint):
        load_recipe(path)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", TermsClass.OPEN),
        ("CC-BY-4.0", TermsClass.OPEN),
        ("CC-BY-SA-4.0", TermsClass.SHARE_ALIKE),
        ("CC-BY-NC-SA-3.0", TermsClass.NON_COMMERCIAL),
        ("CC-BY-NC-ND-4.0", TermsClass.NO_DERIVATIVES),
        ("MIT AND CC-BY-NC-4.0", TermsClass.NON_COMMERCIAL),
        ("LicenseRef-PhysioNet-1.5.0", TermsClass.AGREEMENT),
        ("Artistic-2.0", TermsClass.UNKNOWN),
    ],
)
def test_a_licence_is_as_bound_as_its_most_bound_part(licence: str, expected: TermsClass) -> None:
    bound = parse_card(card(terms={"licence": licence, "quote": "q", "read_at": "r"}), "card")
    check_card(bound)
    assert terms_class(bound) is expected
