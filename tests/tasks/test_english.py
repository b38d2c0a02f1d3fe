"""Labels of datasets, as a radiologist or haematologist would write them in a sentence."""

import pytest

from curate.tasks.english import (
    capitalised,
    indefinite,
    is_label,
    is_plural,
    is_unique,
    joined,
    phrase,
    plural,
    region_name,
    singular,
    thing_name,
)


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("Pleural_Thickening", "pleural thickening"),
        ("PLEURAL EFFUSION", "pleural effusion"),
        ("CHF", "CHF"),
        ("RBC", "RBC"),
        ("B-lines", "B-lines"),
        ("Hodgkin Lymphoma", "Hodgkin lymphoma"),
        ("Barrett's Esophagus", "Barrett's esophagus"),
        ("COVID-19", "COVID-19"),
        ("Cat. 5", "Cat 5"),
        ("pneumonia,bacterial", "pneumonia bacterial"),
    ],
)
def test_a_label_keeps_acronyms_and_names_and_loses_its_marks(label: str, written: str) -> None:
    assert phrase(label) in (written, written.lower()) if label.startswith("Cat") else phrase(label) == written


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("erythrocyte", "erythrocytes"),
        ("nucleus", "nuclei"),
        ("platelet", "platelets"),
        ("normal cell", "normal cells"),
        ("foreign body", "foreign bodies"),
        ("metastasis", "metastases"),
        ("lymphocyte with inclusion", "lymphocytes with inclusion"),
        ("mass", "masses"),
        ("vertebra", "vertebrae"),
        ("RBC", "RBCs"),
    ],
)
def test_one_and_several(one: str, many: str) -> None:
    assert plural(one) == many
    assert plural(many) == many
    assert singular(one) == one
    assert is_plural(many)
    assert not is_plural(one)


def test_plural_labels_are_taken_back_to_one() -> None:
    assert singular("platelets") == "platelet"
    assert singular("nuclei") == "nucleus"
    assert singular("opacities") == "opacity"
    assert singular("ascites") == "ascites"


@pytest.mark.parametrize(
    ("text", "with_article"),
    [
        ("nodule", "a nodule"),
        ("infiltrate", "an infiltrate"),
        ("MR image", "an MR image"),
        ("CT image", "a CT image"),
        ("X-ray angiogram", "an X-ray angiogram"),
        ("ultrasound image", "an ultrasound image"),
        ("ulcer", "an ulcer"),
        ("unilateral mass", "a unilateral mass"),
        ("8 mm nodule", "an 8 mm nodule"),
    ],
)
def test_the_article_follows_the_sound(text: str, with_article: str) -> None:
    assert indefinite(text, thing=True) == with_article


def test_what_cannot_be_counted_takes_no_article() -> None:
    assert indefinite("pneumonia") == "pneumonia"
    assert indefinite("B-lines") == "B-lines"
    assert indefinite("glaucoma") == "glaucoma"


@pytest.mark.parametrize("label", ["normal", "HE", "10", "type 10", "no finding", "benign", "moderate"])
def test_adjectives_codes_and_denials_are_names_of_classes(label: str) -> None:
    assert is_label(label)


@pytest.mark.parametrize("label", ["pneumonia", "iron deficiency anemia", "nodule", "normal cell"])
def test_nouns_are_things(label: str) -> None:
    assert not is_label(label)


def test_an_object_whose_label_is_no_noun_is_one_of_its_class() -> None:
    assert thing_name("10") == "object of class 10"
    assert plural(thing_name("type 10")) == "objects of class type 10"
    assert thing_name("normal cell") == "normal cell"


@pytest.mark.parametrize("anatomy", ["heart", "left lung", "lungs", "Right kidney", "kidneys", "urinary bladder"])
def test_anatomy_that_a_body_has_once(anatomy: str) -> None:
    assert is_unique(anatomy)


@pytest.mark.parametrize("anatomy", ["T12 vertebra", "left rib 8", "rib 1", "tooth 11", "liver segment 4a"])
def test_anatomy_with_its_number_is_one_thing_with_a_name(anatomy: str) -> None:
    assert is_unique(anatomy)
    assert thing_name(anatomy) == region_name(anatomy) == anatomy
    assert not is_label(anatomy)


@pytest.mark.parametrize("label", ["class 10", "segment 3", "12 rib 3", "rib 8 of 12"])
def test_a_number_alone_names_no_anatomy(label: str) -> None:
    assert not is_unique(label)


@pytest.mark.parametrize("thing", ["lung", "kidney", "left nodule", "nucleus", "vertebra", "rib", "heart failure"])
def test_what_there_may_be_several_of(thing: str) -> None:
    assert not is_unique(thing)


def test_regions_are_named_by_their_class_where_it_is_no_noun() -> None:
    assert region_name("Enhancing tumor") == "enhancing tumor"
    assert region_name("10") == "region of class 10"


def test_lists_and_capitals() -> None:
    assert joined(["a mass"]) == "a mass"
    assert joined(["edema", "a mass", "a cyst"], "or") == "edema, a mass or a cyst"
    assert capitalised("erythrocytes are seen.") == "Erythrocytes are seen."
    assert capitalised("pH is low") == "pH is low"
