"""A preview as one HTML page that needs nothing else: no network, no script but its own, every text escaped.

The content security policy (CSP Level 3) allows pictures out of the page itself, and the one style and the one script
of the page by their digests: a text that slipped through as markup could still load and run nothing.
"""

import base64
import hashlib
import importlib.resources
import math
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from curate._version import __version__
from curate.verify import Verifier
from curate.view.drawing import COLOURS
from curate.view.preview import Preview
from curate.view.shown import Figure, ShownItem

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["page"]

SIGNIFICANT: Final = 3
"""Digits of an estimate: more would tell of a precision that it has not."""

TAG_SHARE: Final = 38
"""A number drawn beside a shape is so many times smaller than the raster's longer side."""

_PLURAL: Final = {"box": "boxes", "mask": "masks", "polygon": "polygons", "point": "points"}
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")

_SYMBOLS: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
"""Control characters as the pictures that Unicode has for them."""


def page(preview: Preview) -> str:
    """The page, as text that encodes as UTF-8."""
    style = _own("page.css") + "".join(f".c{number} {{ --c: {colour}; }}\n" for number, colour in enumerate(COLOURS))
    script = _own("page.js")
    text = _template().render(
        preview=preview,
        estimate=preview.estimate,
        preview_requests=_requests_told(preview),
        drawn={kind for item in preview.items for figure in item.figures for kind in figure.drawing.kinds},
        source_numbers={source.source: number for number, source in enumerate(preview.sources, start=1)},
        rules=_rules(),
        style=style,
        style_digest=_digest(style),
        script=script,
        script_digest=_digest(script),
        version=__version__,
    )
    return text.encode("utf-8", "replace").decode()


def _requests_told(preview: Preview) -> str:
    if preview.rewriting is None:
        return "the sample alone tells little of how many repeat"
    return f"{preview.rewriting.requests:,} for {preview.rewriting.drafts:,} drafts of the sample"


def _own(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_plain
    )
    environment.filters |= {
        "amount": _amount,
        "size": _size,
        "has": _has,
        "alt": _alt,
        "columns": _columns,
        "legend": _legend,
        "tag_size": _tag_size,
    }
    return environment.from_string(_own("page.html.jinja"))


def _plain(value: Any) -> Any:
    """A text without control characters: they would end a page's parsing or hide what stands there."""
    return value.translate(_SYMBOLS) if type(value) is str else value


def _amount(value: float) -> str:
    """An estimate, rounded to what it can tell."""
    if value == 0:
        return "0"
    digits = SIGNIFICANT - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.0f}" if digits <= 0 or rounded == round(rounded) else f"{rounded:,.{digits}f}".rstrip("0")


def _size(value: float) -> str:
    """Bytes in decimal units."""
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value /= 1000
        power += 1
    return f"{_amount(value) if power else f'{value:.0f}'} {_UNITS[power]}"


def _has(item: ShownItem) -> str:
    """What the page can be narrowed to."""
    pairs = [pair for figure in item.figures for pair in figure.pairs]
    found = {
        "rejected": bool(item.refusals) or any(not pair.kept for pair in pairs),
        "rewritten": any(pair.rewritten for pair in pairs),
        "refused": any(answer.verdict != "accepted" for pair in pairs for answer in pair.answers),
    }
    return " ".join(name for name, there in found.items() if there)


def _columns(figure: Figure) -> dict[str, bool]:
    """The columns of the table of annotations in which anything stands."""
    return {name: any(getattr(one, name) for one in figure.said) for name in ("label", "state", "value", "place")}


def _alt(figure: Figure, source: str) -> str:
    """What the picture is, for who does not see it: never a finding that nobody stated."""
    facts = dict(figure.facts)
    words = [facts.get("modality") or "image", figure.caption, f"of {source}"]
    over = "; ".join(f"{name} {told}".strip() for name, _, told in _legend(figure))
    return " ".join(words) + (f"; drawn over it: {over}" if over else "; nothing is drawn over it")


def _legend(figure: Figure) -> list[tuple[str, int, str]]:
    """Each concept that is drawn, its colour, and how often it is drawn as what."""
    found = Counter((shape.name, shape.colour, shape.kind) for shape in figure.drawing.shapes)
    found.update({(layer.concept, layer.colour, "mask"): layer.masks for layer in figure.drawing.layers})
    told: dict[tuple[str, int], list[str]] = {}
    for (name, colour, kind), n in sorted(found.items()):
        told.setdefault((name, colour), []).append(f"{n} {kind if n == 1 else _PLURAL[kind]}")
    return [(name, colour, ", ".join(kinds)) for (name, colour), kinds in told.items()]


def _tag_size(figure: Figure) -> float:
    return max(figure.width, figure.height) / TAG_SHARE


@lru_cache(maxsize=1)
def _rules() -> tuple[tuple[str, str], ...]:
    """The rules of verification, each with the first sentence that it says of itself."""
    return tuple((rule.name, (type(rule).__doc__ or "").strip().splitlines()[0]) for rule in Verifier({}).rules)
