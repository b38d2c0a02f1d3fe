"""The page on formats says what the code does: its words are the code's words."""

import re
from pathlib import Path

import pytest

from curate.images.dicom_codecs import SYNTAXES
from curate.images.formats import Format
from curate.images.video_containers import Container
from curate.schema import Form, Reason

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "formats.md").read_text()
CODE = "\n".join(path.read_text() for path in sorted((ROOT / "curate").rglob("*.py")))
WORDS = set(re.findall(r"`([^`]+)`", PAGE))
NOT_REASONS = {"metadata_stripped", "unused_bits_cleared", "sign_extended", "jpeg_tables_merged", "rescale_unit"}

CONTAINERS = {
    Container.MOV: "QuickTime",
    Container.MATROSKA: "Matroska",
    Container.MPEG_PS: "program",
    Container.MPEG_ES: "elementary",
    Container.MPEG_TS: "transport",
    Container.AVI: "AVI",
    Container.OGG: "Ogg",
    Container.FLV: "Flash",
    Container.ASF: "ASF",
}


def test_every_form_is_named() -> None:
    assert set(Form) <= WORDS


def test_every_format_of_pictures_is_named() -> None:
    for known in Format:
        assert known.value.replace("2000", " 2000") in PAGE.lower()


def test_every_container_of_videos_is_named() -> None:
    assert set(CONTAINERS) == set(Container)
    for word in CONTAINERS.values():
        assert word in PAGE


def test_the_transfer_syntaxes_are_those_with_a_decoder() -> None:
    table = PAGE.split("| compression | transfer syntaxes |")[1].split("\n\n")[0]
    assert set(re.findall(r"1\.2\.840[0-9.]*\d", table)) == set(SYNTAXES)


def test_what_looks_like_a_reason_is_one() -> None:
    told = {word for word in WORDS if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)}
    assert told - NOT_REASONS - set(Reason) == set()


def test_every_reason_that_reading_gives_is_told() -> None:
    reading = (
        "not_a_volume localizer no_geometry invalid_affine no_unit mixed_orientation inconsistent_series missing_slice "
        "duplicate_position uneven_spacing gantry_tilt frame_of_reference geometry_mismatch invalid_contour "
        "no_resolution no_tissue partial_tile no_video unsupported_format no_pixels truncated_image corrupt_image "
        "too_many_pixels too_large decoder_crash time_limit memory_limit invalid_header size_mismatch empty_mask"
    )
    assert set(reading.split()) <= WORDS


@pytest.mark.parametrize("word", sorted(word for word in WORDS if re.fullmatch(r"[a-z_]+:\S*", word)))
def test_every_word_of_changes_is_one_that_the_code_says(word: str) -> None:
    said = word.removesuffix("...")
    assert said in CODE or re.search(re.escape(said.split("=")[0]), CODE), word


@pytest.mark.parametrize("word", sorted(NOT_REASONS))
def test_every_plain_word_stands_in_the_code(word: str) -> None:
    assert word in CODE
