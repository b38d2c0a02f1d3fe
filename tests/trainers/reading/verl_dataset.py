"""verl: the rows that its reinforcement learning rolls out."""

import sys
from pathlib import Path
from typing import Any

from tests.trainers.reading import tell


def read(model: str, release: Path, cache: str) -> list[dict[str, Any]]:
    """Each row of training: the prompt in parts, the size of each picture in pixels, and what the reward is told."""
    from omegaconf import OmegaConf
    from transformers import AutoProcessor
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    processor = AutoProcessor.from_pretrained(model)
    asked = {
        "prompt_key": "prompt",
        "image_key": "images",
        "max_prompt_length": 100_000,
        "truncation": "error",
        "filter_overlong_prompts": True,
        "filter_overlong_prompts_workers": 1,
        "return_raw_chat": True,
        "cache_dir": cache,
    }
    files = [str(path) for path in sorted((release / "verl").glob("train-*.parquet"))]
    rows = RLHFDataset(
        data_files=files, tokenizer=processor.tokenizer, config=OmegaConf.create(asked), processor=processor
    )
    found = [rows[n] for n in range(len(rows))]
    collate_fn(found[:4])
    return [
        {
            "parts": [part.get("text", part["type"]) for turn in row["raw_prompt"] for part in turn["content"]],
            "sizes": [part["image"].size for turn in row["raw_prompt"] for part in turn["content"] if "image" in part],
            "data_source": row["data_source"],
            "reward_model": row["reward_model"],
            "extra_info": row["extra_info"],
        }
        for row in found
    ]


if __name__ == "__main__":
    tell(read(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
