"""What a model wrote in another language speaks a dialect too: the words that code filled in are found and replaced."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.build import build
from curate.phantom import write_phantoms
from curate.publish.base import Release, Row
from curate.publish.coordinates import DialectOptions, in_dialect
from curate.publish.dialects import DIALECTS, Dialect
from curate.schema import Origin
from curate.testing.scripted import ScriptedServer, brief_of
from tests.publish.releases import release_of

pytestmark = pytest.mark.slow

NAMES = {"erythrocyte": "红细胞", "leukocyte": "白细胞", "platelet": "血小板"}


def in_chinese(body: dict[str, Any]) -> str:
    """A model that keeps the slots of its brief."""
    brief = brief_of(body)
    asked = brief["question"] + brief["answer"]
    name = next(chinese for english, chinese in NAMES.items() if english in asked)
    question, answer = "区域 {region} 中是什么？{frame}", f"{name}。"
    for slot in ("boxes", "points"):
        if f"{{{slot}}}" in asked:
            question, answer = f"请标出图中的{name}。{{form}}", f"{{{slot}}}"
    return json.dumps({"question": question, "answer": answer}, ensure_ascii=False)


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    folder: Path = tmp_path_factory.mktemp("rewritten")
    sources = ["phantom-cells-voc", "phantom-cells-points"]
    write_phantoms(folder / "phantoms", images=1, only=tuple(sources))
    with ScriptedServer(in_chinese) as server:
        rewrite = {"completer": {"name": "openai", "url": server.url}, "model": "scripted", "style": "plain"}
        recipe = {
            "name": "rewritten",
            "sources": sources,
            "tasks": ["grounding", "points"],
            "rewrite": rewrite | {"language": "zh", "mode": "free", "variants": 1},
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        build(folder / "recipe.yaml", folder / "corpus", folder / "phantoms")
    yield release_of(folder / "corpus")


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "pixels"])
def test_a_rewritten_row_has_one_form_of_coordinates_in_its_own_language(rewritten: Release, dialect: Dialect) -> None:
    seen = set()
    for one in rewritten.rows():
        told = in_dialect(one, DialectOptions(dialect=dialect))
        assert isinstance(told, Row), told
        assert (one.language, one.origin) == ("zh", Origin.LLM)
        (name,) = {"form", "frame"} & set(one.fixed)
        assert told.slots[name] != one.slots[name]
        assert told.question.count(told.slots[name]) == 1
        assert one.slots[name] not in told.question
        assert not re.search(r"\bpixels?\b|像素坐标的", told.question)
        seen.add(one.constraints["ask"])
    assert seen == {"locate", "identify", "point"}
