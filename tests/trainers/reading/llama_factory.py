"""LLaMA-Factory: each data set of a `dataset_info.json`, tokenised for training."""

import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

from tests.trainers.reading import plain, tell

STAGES = {"sharegpt": "sft", "openai": "sft", "preference": "rm", "kto": "kto"}


def without_sound() -> None:
    """LLaMA-Factory imports torchaudio on its way, whose wheels may ask for a GPU's libraries; no row has sound."""
    module = types.ModuleType("torchaudio")
    module.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = module


def read(model: str, release: Path, folder: str) -> dict[str, list[dict[str, Any]]]:
    """Data set -> its rows: what is asked, what is learned (each of several answers), and how many media they show."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(model)
    tokens = processor.tokenizer
    found = {}
    for name in json.loads((release / folder / "dataset_info.json").read_text()):
        asked = {
            "model_name_or_path": model,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "full",
            "template": "qwen2_vl",
            "dataset_dir": str(release / folder),
            "media_dir": str(release),
            "dataset": name,
            "cutoff_len": 100_000,
            "preprocessing_num_workers": 1,
            "output_dir": str(Path(model) / "trained"),
            "report_to": "none",
        }
        of_model, of_data, training, *_ = get_train_args(asked)
        template = get_template_and_fix_tokenizer(tokens, of_data)
        made = get_dataset(
            template, of_model, of_data, training, stage=STAGES[folder], tokenizer=tokens, processor=processor
        )
        found[name] = [_row(row, tokens) for row in made["train_dataset"]]
    return found


def _row(row: dict[str, Any], tokens: Any) -> dict[str, Any]:
    texts = {key: plain(tokens.decode(cell)) for key, cell in row.items() if key.endswith("input_ids")}
    learned = {
        key: plain(tokens.decode([token for token in cell if token >= 0]))
        for key, cell in row.items()
        if key.endswith("labels")
    }
    media = [path for key in ("images", "videos") for path in row[key] or ()]
    return {**texts, **learned, "media": len(media), "there": all(map(_is_file, media)), "tag": row.get("kto_tags")}


def _is_file(path: str) -> bool:
    return Path(path).is_file()


if __name__ == "__main__":
    without_sound()
    tell(read(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
