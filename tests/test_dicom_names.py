"""What codes of headers mean, and that those which mean nothing stay silent."""

import pytest

from curate.dicom_names import side, spoken


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("modality", "CR", "radiography"),
        ("modality", "DX", "radiography"),
        ("modality", "ct", "CT"),
        ("modality", "light microscopy", "light microscopy"),
        ("anatomy", "WHOLE BODY", "whole body"),
        ("anatomy", "HEADNECK", "head and neck"),
        ("anatomy", "HEAD_NECK", "head and neck"),
        ("anatomy", "peripheral blood", "peripheral blood"),
        ("view", "LLD", "left lateral decubitus"),
        ("view", "PA", "posteroanterior (PA)"),
        ("view", "MLO", "mediolateral oblique (MLO)"),
    ],
)
def test_codes_and_words(attribute: str, value: str, words: str) -> None:
    assert spoken(attribute, value) == words


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("modality", "OT"), ("modality", "SEG"), ("anatomy", "BODY1"), ("anatomy", "XYZ"), ("view", "Q7"), ("view", " ")],
)
def test_what_nobody_can_put_into_words_is_silent(attribute: str, value: str) -> None:
    assert spoken(attribute, value) is None


def test_sides() -> None:
    assert [side(code) for code in ("L", "R", "B", "left", "U", "?", "")] == [
        "left", "right", "bilateral", "left", None, None, None,
    ]  # fmt: skip
