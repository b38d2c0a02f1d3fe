"""A repository of the Hub at one commit: listed by huggingface_hub, brought and proved as any file, then built."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.build import build
from curate.card import Card
from curate.errors import DataError
from curate.fetch.run import Fetched
from tests.fetch.conftest import card_of
from tests.fetch.server import Served, serving, sha256

pytest.importorskip("huggingface_hub")

Bring = Callable[..., Fetched]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "owner/cells"

CARD = """
id: example
title: An example
source: {home: example.org, hub: {repo: owner/cells, revision: %s, allow: ["data/*.parquet"]}}
terms: {licence: CC0-1.0, quote: public domain, read_at: README.md, deidentified: true}
modality: light microscopy
images: {glob: "data/*.parquet", column: image}
labels: [{layout: table, files: "data/*.parquet", image: "@row", world: exclusive, columns: {label: {kind: class}}}]
subject: {none: not published}
"""


def _parquet() -> bytes:
    rows = []
    for number in range(12):
        picture, buffer = Image.effect_noise((48, 48), 10 + 5 * number), io.BytesIO()
        picture.save(buffer, "png")
        rows.append(
            {"image": {"bytes": buffer.getvalue(), "path": f"{number}.png"}, "label": ["benign", "normal"][number % 2]}
        )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def _paths(files: dict[str, bytes]) -> dict[str, Served]:
    tree = []
    for path, data in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"type": "file", "path": path, "size": len(data), "oid": blob}
        if path.endswith(".parquet"):
            entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 132}
        tree.append(entry)
    listing = f"/api/datasets/{REPOSITORY}/tree/{COMMIT}?recursive=true&expand=false"
    served = {f"/datasets/{REPOSITORY}/resolve/{COMMIT}/{path}": Served(data) for path, data in files.items()}
    return served | {listing: Served(json.dumps(tree).encode(), kind="application/json", etag=None)}


def _card(**more: object) -> Card:
    return card_of(hub={"repo": REPOSITORY, "revision": COMMIT, **more})


def test_a_repository_of_parquet_files_is_fetched_and_built(brought: Bring, tmp_path: Path) -> None:
    from curate.card import parse_card
    from curate.card import yaml as plain_yaml

    (tmp_path / "card.yaml").write_text(CARD % COMMIT)
    (tmp_path / "recipe.yaml").write_text("name: one\nsources: [{card: ./card.yaml}]\ntasks: [label_caption]\n")
    card = parse_card(plain_yaml.safe_load(CARD % COMMIT), "test")
    with serving(_paths({"data/train-0.parquet": _parquet(), "README.md": b"# Cells\n"})) as server:
        environment = {"HF_ENDPOINT": server.url}
        assert brought(card, environment=environment).files == 1
        asked = len(server.asked)
        assert brought(card, environment=environment).downloaded == 0
        assert len(server.asked) == asked
    built = build(tmp_path / "recipe.yaml", tmp_path / "out", data_root=tmp_path)
    assert built is not None


def test_small_files_are_proved_by_their_git_object(brought: Bring, tmp_path: Path) -> None:
    paths = _paths({"README.md": b"# Cells\n"})
    with serving(paths) as server:
        environment = {"HF_ENDPOINT": server.url}
        paths[f"/datasets/{REPOSITORY}/resolve/{COMMIT}/README.md"].data = b"# Cello\n"
        with pytest.raises(DataError, match="not the git object it should be"):
            brought(_card(), environment=environment)
        paths[f"/datasets/{REPOSITORY}/resolve/{COMMIT}/README.md"].data = b"# Cells\n"
        assert brought(_card(), environment=environment).unproved == 0
    assert (tmp_path / "example/README.md").read_bytes() == b"# Cells\n"


def test_the_token_goes_to_the_hub_and_stays_out_of_every_note(brought: Bring, tmp_path: Path) -> None:
    with serving(_paths({"README.md": b"# Cells\n"})) as server:
        brought(_card(), environment={"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_secret"})
        assert {one.headers.get("authorization") for one in server.asked} == {"Bearer hf_secret"}
    assert not any(b"hf_secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_path_that_leaves_the_repository_is_refused(brought: Bring) -> None:
    with (
        serving(_paths({"../escaped": b"x"})) as server,
        pytest.raises(DataError, match="does not stay below its folder"),
    ):
        brought(_card(), environment={"HF_ENDPOINT": server.url})


def test_a_repository_that_is_not_there_is_told(brought: Bring) -> None:
    with serving({}) as server, pytest.raises(DataError, match="owner/cells"):
        brought(_card(), environment={"HF_ENDPOINT": server.url})
