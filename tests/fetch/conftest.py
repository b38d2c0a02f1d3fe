"""A card with addresses on a server of this machine, and a fetch that does not wait."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.card import Card, parse_card
from curate.fetch.run import Fetched, fetch
from curate.fetch.transport import Transport


def card_of(*files: dict[str, Any], licence: str = "CC0-1.0", **source: Any) -> Card:
    plain = {
        "id": "example",
        "title": "An example",
        "source": {"home": "example.org/data", "files": list(files), **source},
        "terms": {"licence": licence, "quote": "public domain", "read_at": "README.md", "deidentified": True},
        "images": {"glob": "**/*.png"},
        "subject": {"none": "not published"},
    }
    return parse_card(plain, "test")


@pytest.fixture
def brought(tmp_path: Path) -> Callable[..., Fetched]:
    """Fetches into one data root; `waited` collects the pauses that would have been made."""

    def bring(card: Card, *, waited: list[float] | None = None, **more: Any) -> Fetched:
        more.setdefault("transport", Transport(environment={}, timeouts_s=(2.0, 0.4)))
        more.setdefault("environment", {})
        more.setdefault("accepted", "option")
        return fetch(card, tmp_path, sleep=(waited if waited is not None else []).append, **more)

    return bring
