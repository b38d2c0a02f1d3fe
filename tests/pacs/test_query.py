"""What a recipe asks of a DICOMweb server, and which of its answers do not heed it."""

import re
from typing import Any

import pytest

from curate.errors import RecipeError, UsageError
from curate.pacs.query import check_query, contradicted, credentials, dicom_query
from curate.recipe import DicomWeb
from tests.conftest import ROOT

URL = "https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (20200131, "20200131"),
        ("2020-01-31", "20200131"),
        (2020, "20200101-20201231"),
        ("2020-", "20200101-"),
        ("-2020", "-20201231"),
        ("202002", "20200201-20200229"),
        ("2019-202006", "20190101-20200630"),
        ("20200101-20201231", "20200101-20201231"),
    ],
)
def test_years_and_months_become_ranges_of_days(said: str | int, meant: str) -> None:
    assert dicom_query({"StudyDate": said}) == {"StudyDate": meant}


@pytest.mark.parametrize("said", ["yesterday", "20201301", "20200230", "2021-2020", "-", "20", "0000"])
def test_what_is_no_date_is_refused_before_a_server_leaves_it_out_of_account(said: str) -> None:
    with pytest.raises(RecipeError, match="StudyDate is a date"):
        check_query("x", DicomWeb(url=URL, query={"StudyDate": said}))


def test_the_page_tells_every_key_of_a_recipe() -> None:
    page = (ROOT / "docs" / "dicomweb.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` ", page, re.MULTILINE)) == set(DicomWeb.__struct_fields__)


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(RecipeError, match="'StudyDat' is no DICOM attribute"):
        check_query("x", DicomWeb(url=URL, query={"StudyDat": 2020}))


@pytest.mark.parametrize("said", ["", "  ", "a\r\nb"])
def test_a_key_needs_a_value(said: str) -> None:
    with pytest.raises(RecipeError, match="Modality has no value"):
        check_query("x", DicomWeb(url=URL, series={"Modality": said}))


def study(**values: Any) -> dict[str, Any]:
    tags = {"date": "00080020", "modalities": "00080061", "name": "00100010"}
    return {tags[key]: {"vr": "CS", "Value": value} for key, value in values.items()}


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ({"StudyDate": 2020}, study(date=["20200601"])),
        ({"StudyDate": "2020-"}, study(date=["20250601"])),
        ({"ModalitiesInStudy": "CT"}, study(modalities=["SR", "CT"])),
        ({"ModalitiesInStudy": "C*"}, study(modalities=["CT"])),
        ({"ModalitiesInStudy": "ct"}, study(modalities=["CT"])),
        ({"ModalitiesInStudy": "CT\\MR"}, study(modalities=["MR"])),
        ({"StudyDate": 2020}, study(date=["1999.01.01"])),
        ({"ModalitiesInStudy": "CT"}, study()),
        ({"PatientName": "DOE*"}, study(name=[{"Alphabetic": "Roe^Jane"}])),
    ],
)
def test_an_answer_that_fits_or_says_nothing_is_taken(query: dict[str, str | int], match: dict[str, Any]) -> None:
    assert not list(contradicted([match], dicom_query(query)))


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ({"StudyDate": 2020}, study(date=["20210101"])),
        ({"StudyDate": "-2020"}, study(date=["20210101"])),
        ({"ModalitiesInStudy": "CT"}, study(modalities=["MR"])),
    ],
)
def test_an_answer_that_the_query_excludes_shows_that_the_server_does_not_heed_it(
    query: dict[str, str | int], match: dict[str, Any]
) -> None:
    assert list(contradicted([match], dicom_query(query))) == list(query)


def test_secrets_come_from_the_environment_and_are_never_shown() -> None:
    bearer = credentials("x", DicomWeb(url=URL, token_env="T"), {"T": "s3cret"})
    basic = credentials("x", DicomWeb(url=URL, basic_env="B"), {"B": "me:s3cret"})
    assert bearer.header == "Bearer s3cret"
    assert basic.header == "Basic bWU6czNjcmV0"
    assert "s3cret" not in repr(bearer)


@pytest.mark.parametrize("held", [{}, {"T": ""}, {"T": "two\nlines"}])
def test_a_variable_without_a_secret_is_named(held: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="variable T "):
        credentials("x", DicomWeb(url=URL, token_env="T"), held)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"url": "pacs.example/dicom-web"}, "url"),
        ({"url": "https://me:s3cret@pacs.example/dicom-web"}, "password"),
        ({"url": "https://pacs.example/dicom-web?x=1"}, "url"),
        ({"url": "http://pacs.example/dicom-web", "token_env": "T"}, "http"),
        ({"url": URL, "token_env": "T", "basic_env": "B"}, "both"),
        ({"url": URL, "token_env": "eyJhbGciOi.J9"}, "environment variable"),
        ({"url": URL, "query": {"limit": "5"}}, "keyword"),
    ],
)
def test_a_recipe_that_would_leak_a_secret_or_means_nothing_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as problem:
        DicomWeb(**said)
    assert "s3cret" not in str(problem.value)
