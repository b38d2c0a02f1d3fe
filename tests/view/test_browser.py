"""The page in a real browser: it loads nothing, runs nothing of others, and draws where the annotation says."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import skip_or_fail, tool
from tests.view.conftest import Seen

pytestmark = pytest.mark.slow

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Visit:
    """A page that is open, with all that it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def is_quiet(self) -> bool:
        return self.complaints == [] and all(one.startswith(("file:", "data:")) for one in self.requests)

    def focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.id"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        skip_or_fail("tools", "there is no Chromium on this machine (Debian: apt-get install chromium)")
    playwright = tool("playwright.sync_api")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


def visit(browser: Any, seen: Seen, **settings: Any) -> Visit:
    context = browser.new_context(**({"viewport": {"width": 1400, "height": 1000}} | settings))
    context.set_offline(True)
    page = context.new_page()
    made = Visit(page)
    page.on("request", lambda request: made.requests.append(request.url))
    page.on("console", lambda message: made.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda problem: made.complaints.append(str(problem)))
    page.goto(seen.page.as_uri())
    return made


def test_the_page_asks_for_nothing_but_itself(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    assert seen.is_quiet(), (seen.complaints, [one[:80] for one in seen.requests])
    assert [one for one in seen.requests if not one.startswith("data:")] == [quick.page.as_uri()]
    widths = seen.page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert widths and all(widths)


def test_nothing_that_a_source_says_is_run(browser: Any, harmful: Seen) -> None:
    seen = visit(browser, harmful)
    seen.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for box in seen.page.locator("article").all()[:4]:
        box.hover()
    assert seen.page.evaluate("window.harmed") is None
    assert seen.is_quiet(), seen.complaints
    assert seen.page.locator("article").count() == len(harmful.preview.items)
    assert seen.page.locator("iframe, link, base, form, object, embed").count() == 0


def test_markup_that_slipped_through_would_be_stopped_by_the_policy(browser: Any, harmful: Seen) -> None:
    seen = visit(browser, harmful)
    seen.page.evaluate(
        """() => {
        const script = document.createElement('script');
        script.textContent = 'window.harmed = 1';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src=http://203.0.113.7/x.png onerror=window.harmed=1>');
        }"""
    )
    seen.page.wait_for_timeout(200)
    assert seen.page.evaluate("window.harmed") is None
    assert any("Content Security Policy" in one for one in seen.complaints)


def test_boxes_lie_on_the_pixels_that_they_name(browser: Any, seven: Seen) -> None:
    """The corners on the screen, back in the pixels of the raster, are those of the annotations."""
    for width in (1400, 500):
        seen = visit(browser, seven, viewport={"width": width, "height": 900})
        drawn = seen.page.evaluate(
            """() => [...document.querySelectorAll('.stage')].map(stage => {
                const img = stage.querySelector('img').getBoundingClientRect();
                const view = stage.querySelector('svg').viewBox.baseVal;
                return [...stage.querySelectorAll('g.box')].map(g => {
                    const path = g.querySelector('.line');
                    const inner = path.getBBox(), place = path.getScreenCTM();
                    const corner = (x, y) => {
                        const at = new DOMPoint(x, y).matrixTransform(place);
                        return [(at.x - img.x) * view.width / img.width, (at.y - img.y) * view.height / img.height];
                    };
                    return [...corner(inner.x, inner.y), ...corner(inner.x + inner.width, inner.y + inner.height)];
                });
            })"""
        )
        figures = [figure for item in seven.preview.items for figure in item.figures]
        boxes = 0
        for figure, found in zip(figures, drawn, strict=True):
            shapes = [shape for shape in figure.drawing.shapes if shape.kind == "box"]
            for shape, corners in zip(shapes, found, strict=True):
                told = [float(word) for word in re.findall(r"[0-9.]+", shape.path)]  # x0, y0, x1, y1, x0
                assert corners == pytest.approx(told[:4], abs=0.6)
                boxes += 1
        assert boxes > 20


def test_the_mask_of_a_real_image_covers_what_the_annotation_covers(browser: Any, seven: Seen) -> None:
    seen = visit(browser, seven)
    places = seen.page.evaluate(
        """() => [...document.querySelectorAll('.stage')].filter(s => s.querySelector('image.mask')).map(stage => {
            const img = stage.querySelector('img').getBoundingClientRect();
            const mask = stage.querySelector('image.mask').getBoundingClientRect();
            return [img.x - mask.x, img.y - mask.y, img.width - mask.width, img.height - mask.height];
        })"""
    )
    assert places
    assert all(abs(number) < 0.5 for place in places for number in place)


def test_j_and_k_walk_through_the_items(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    for key, wanted in (("j", "item-1"), ("j", "item-2"), ("j", "item-3"), ("k", "item-2")):
        seen.page.keyboard.press(key)
        assert seen.focused() == wanted
    top = seen.page.evaluate("document.activeElement.getBoundingClientRect().top")
    bar = seen.page.evaluate("document.querySelector('.top').getBoundingClientRect().bottom")
    assert bar - 1 <= top < bar + 80
    for _ in range(len(quick.preview.items) + 3):
        seen.page.keyboard.press("j")
    assert seen.focused() == f"item-{len(quick.preview.items)}"


def test_the_filter_narrows_and_says_how_much_is_left(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    seen.page.keyboard.press("/")
    assert seen.focused() == "filter"
    seen.page.keyboard.type("phantom-ct kidney")
    shown = seen.page.locator("article:visible")
    wanted = [item for item in quick.preview.items if item.source.startswith("phantom-ct")]
    assert shown.count() == len(wanted)
    assert seen.page.locator("#shown").inner_text() == f"{len(wanted)} of {len(quick.preview.items)} items"
    seen.page.keyboard.press("Escape")
    assert shown.count() == len(quick.preview.items)
    seen.page.locator("#filter").fill("nothing at all is called so")
    assert seen.page.locator("#nothing").is_visible()


def test_a_source_can_be_chosen_alone(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    seen.page.locator("#source").select_option(label="phantom-slide")
    chips = set(seen.page.locator("article:visible .chip").all_inner_texts())
    assert chips == {"phantom-slide"}


@pytest.mark.parametrize(("key", "kind"), [("b", "g.box"), ("m", "image.mask"), ("p", "g.point")])
def test_what_is_drawn_can_be_taken_away_and_put_back(browser: Any, quick: Seen, key: str, kind: str) -> None:
    seen = visit(browser, quick)
    drawn = seen.page.locator(kind).first
    shown = "one => getComputedStyle(one).display !== 'none'"
    assert drawn.evaluate(shown)
    seen.page.keyboard.press(key)
    assert not drawn.evaluate(shown)
    assert seen.page.locator("[data-toggle][aria-pressed=false]").count() == 1
    seen.page.keyboard.press(key)
    assert drawn.evaluate(shown)


def test_everything_can_be_reached_and_seen_by_keyboard(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.textContent") == "To the items"
    for _ in range(8):
        seen.page.keyboard.press("Tab")
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"


def test_pictures_have_words_and_sections_have_names(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    assert seen.page.locator("img:not([alt]), img[alt='']").count() == 0
    assert seen.page.locator("main").count() == 1
    unnamed = seen.page.evaluate(
        """() => [...document.querySelectorAll('section, article')].filter(
            one => !one.ariaLabel && !document.getElementById(one.getAttribute('aria-labelledby'))).length"""
    )
    assert unnamed == 0
    ids = seen.page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [320, 420, 800, 1400])
def test_no_width_scrolls_sideways(browser: Any, seven: Seen, width: int) -> None:
    seen = visit(browser, seven, viewport={"width": width, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, quick: Seen, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) for all text on the page's own grounds."""
    seen = visit(browser, quick, color_scheme=scheme)
    seen.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    worst = seen.page.evaluate(
        """() => {
        const light = colour => {
            const part = colour.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
        };
        const ground = one => {
            for (let at = one; at; at = at.parentElement) {
                const colour = getComputedStyle(at).backgroundColor;
                if (!/, 0\\)$/.test(colour)) return colour;
            }
            return 'rgb(255, 255, 255)';
        };
        let worst = [99, ''];
        for (const one of document.querySelectorAll('body *:not(svg *):not(script)')) {
            if (![...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
            const pair = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
            const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
            if (ratio < worst[0]) worst = [ratio, one.outerHTML.slice(0, 120)];
        }
        return worst;
        }"""
    )
    assert worst[0] >= 4.5, worst


def test_on_paper_all_is_open_and_the_tools_are_gone(browser: Any, quick: Seen) -> None:
    seen = visit(browser, quick)
    seen.page.emulate_media(media="print")
    seen.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert seen.page.locator(".tools").is_hidden()
    assert seen.page.locator("article details:not([open])").count() == 0
