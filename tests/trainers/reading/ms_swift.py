"""ms-swift: each file of a release, checked row by row and encoded for training with Qwen2.5-VL.

Rows with videos are checked alone: what ms-swift decodes these with (decord) is not built for Python 3.11 everywhere.
"""

import os
import sys
from pathlib import Path
from typing import Any

from tests.trainers.reading import plain, tell


def read(model: str, release: Path) -> dict[str, list[dict[str, Any]]]:
    """File -> its rows: the text after the trainer put places and names into it, and the media that it shows."""
    os.environ["ROOT_IMAGE_DIR"] = str(release)
    from swift.dataset import load_dataset
    from swift.model import get_processor
    from swift.template import get_template

    processor = get_processor(model, model_type="qwen2_5_vl")
    template = get_template(processor, template_type="qwen2_5_vl")
    template.set_mode("train")
    found = {}
    for path in sorted((release / "ms-swift").glob("*.jsonl")):
        rows, _ = load_dataset([str(path)], load_from_cache_file=False, strict=True)
        found[path.name] = [
            {
                "text": None
                if row.get("videos")
                else plain(processor.tokenizer.decode(template.encode(row)["input_ids"])),
                "images": [image["path"] for image in row.get("images") or ()],
                "videos": row.get("videos") or [],
            }
            for row in rows
        ]
    return found


if __name__ == "__main__":
    tell(read(sys.argv[1], Path(sys.argv[2])))
