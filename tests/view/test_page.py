"""The page of a preview: complete, closed to the world, and plain text wherever others wrote."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from curate.schema import RULES
from curate.view import preview
from curate.view.page import page
from tests.conftest import ROOT
from tests.view.conftest import PAYLOADS, Seen

pytestmark = pytest.mark.slow

VOID = {"meta", "img", "input"}
KNOWN = frozenset(
    word
    for line in (
        "html head meta title style body a header h1 h2 h3 h4 small nav search label span input select option button",
        "output main section p dl div dt dd table thead tbody tr th td details summary article bdi figure figcaption",
        "img svg g path text image ul li i b code kbd footer script",
    )
    for word in line.split()
)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of those that hold text alone."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)


def is_closed_to_the_world(text: str) -> None:
    """Only elements of ours, one script, no handler, no address but within the page, and a policy that says so."""
    elements = Elements(text)
    assert elements.open == []
    assert {tag for tag, _ in elements.found} <= KNOWN
    assert sum(tag == "script" for tag, _ in elements.found) == 1
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "action")]
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,"))
    (policy,) = (a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        body = "".join(elements.words[tag])
        assert base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() in policy


def words(text: str) -> str:
    """What a reader reads, without markup."""
    elements = Elements(text)
    return "\n".join(
        word for tag, several in elements.words.items() if tag not in ("script", "style") for word in several
    )


def test_texts_of_others_stay_texts(harmful: Seen) -> None:
    is_closed_to_the_world(harmful.text)
    read = words(harmful.text)
    for payload in PAYLOADS:
        shown = "".join(chr(0x2400 + ord(c)) if ord(c) < 32 else c for c in payload.replace("\x00", ""))
        assert shown in read, payload


def test_a_template_in_a_text_is_not_filled_in(harmful: Seen) -> None:
    assert str(7 * 191) not in re.sub(r"[A-Za-z0-9+/=]{200,}", "", harmful.text)


def test_every_kind_of_text_field_is_escaped(harmful: Seen) -> None:
    """The payloads again in the fields that a source cannot reach today."""
    for payload in PAYLOADS:
        items = tuple(
            replace(item, source=item.source, stratum=payload, refusals=((payload, payload, payload, payload, 2),))
            for item in harmful.preview.items
        )
        worse = replace(
            harmful.preview,
            name=payload,
            tasks=(payload,),
            rewriter=payload,
            items=items,
            notes=(payload,),
            refused=tuple(replace(one, reason=payload) for one in harmful.preview.refused),
            estimate=replace(harmful.preview.estimate, asked=1.0, missing=(payload,)),
        )
        is_closed_to_the_world(page(worse))


def test_a_lone_surrogate_does_not_end_the_page(harmful: Seen) -> None:
    assert "name: preview" in page(replace(harmful.preview, name="\ud800name")).replace("?", "")


def test_the_page_of_real_sources_is_closed_and_light(seven: Seen) -> None:
    is_closed_to_the_world(seven.text)
    assert seven.page.stat().st_size < 3_000_000
    assert {item.source for item in seven.preview.items} == {source.source for source in seven.preview.sources}
    assert len(seven.preview.items) == 14


def test_boxes_masks_points_answers_and_findings_of_real_sources_are_shown(seven: Seen) -> None:
    figures = {
        source: [figure for item in seven.preview.items if item.source == source for figure in item.figures]
        for source in {item.source for item in seven.preview.items}
    }
    assert all(figure.drawing.kinds == ("box",) for figure in figures["bccd"])
    assert all(figure.drawing.kinds == ("mask",) for figure in figures["dsb2018-nuclei"])
    assert any(figure.drawing.kinds == ("point",) for figure in figures["chula-rbc-12-points"])
    assert all(figure.drawing.kinds == () and figure.said for figure in figures["hannover-covid-cxr"])
    assert any(pair.task == "source_qa" for figure in figures["vqa-rad"] for pair in figure.pairs)
    assert all(figure.picture is not None for several in figures.values() for figure in several)
    kept = [pair for several in figures.values() for figure in several for pair in figure.pairs if pair.kept]
    assert kept
    assert all([rule for rule, _ in pair.checks] == list(RULES) and not pair.failed for pair in kept)


def test_every_draft_and_annotation_that_is_shown_stands_on_the_page(seven: Seen) -> None:
    read = words(seven.text)
    for item in seven.preview.items:
        assert item.key in read
        for figure in item.figures:
            assert all(turn.text in read for pair in figure.pairs for turn in pair.draft)
            assert all(one.label in read and one.origin in read for one in figure.said)


def test_volumes_slides_clips_and_dicom_have_pictures(quick: Seen) -> None:
    is_closed_to_the_world(quick.text)
    items = {item.source: item for item in quick.preview.items}
    forms = {source: {figure.caption.split()[0] for figure in item.figures} for source, item in items.items()}
    assert forms["phantom-ct"] == {"volume", "slice"}
    assert forms["phantom-slide"] == {"slide"}
    assert forms["phantom-clip"] == {"video"}
    assert all(figure.picture is not None for item in quick.preview.items for figure in item.figures)
    assert [one.caption.split()[0] for one in items["phantom-slide"].thumbnails] == ["tile"] * 8
    assert [one.caption.split()[0] for one in items["phantom-clip"].thumbnails] == ["frame"] * 3
    slices = [figure for figure in items["phantom-ct"].figures if figure.caption.startswith("slice")]
    assert all(figure.drawing.layers for figure in slices)


def test_what_was_refused_is_shown_with_its_reason(quick: Seen) -> None:
    reasons = {(one.source, one.reason): one for one in quick.preview.refused}
    missing = reasons["phantom-cxr-table", "missing_file"]
    assert missing.examples and len(missing.examples) <= 3
    assert "named, but not in the data folder" in words(quick.text)


def test_the_same_sample_gives_the_same_page(phantoms: Path) -> None:
    first, second = (preview(ROOT / "catalogs" / "phantom-cells-voc.yaml", 3, data_root=phantoms) for _ in range(2))
    assert page(first) == page(second)
