"""TRL: a few steps of training on a release, by preference (`DPOTrainer`) or on whole answers (`SFTTrainer`)."""

import sys
from pathlib import Path
from typing import Any

from tests.trainers.reading import plain, tell

STEPS = 2


def train(model: str, release: Path) -> dict[str, Any]:
    """The loss of each step, and what the first rows are to the model: the texts, and how many pictures they show."""
    from datasets import load_dataset
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    rows = load_dataset("parquet", data_files=str(release / "trl" / "train-*.parquet"), split="train")
    processor = AutoProcessor.from_pretrained(model)
    preference = "chosen" in rows.column_names
    config, trainer = (DPOConfig, DPOTrainer) if preference else (SFTConfig, SFTTrainer)
    trained = trainer(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(model),
        args=config(
            str(Path(model) / "trained"),
            max_steps=STEPS,
            per_device_train_batch_size=2,
            logging_steps=1,
            max_length=None,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=rows,
        processing_class=processor,
    )
    batch = trained.data_collator([trained.train_dataset[n] for n in range(2)])
    trained.train()
    return {
        "rows": rows.num_rows,
        "losses": [step["loss"] for step in trained.state.log_history if "loss" in step],
        "texts": [plain(processor.tokenizer.decode(ids)) for ids in batch["input_ids"]],
        "pictures": len(batch["image_grid_thw"]),
    }


if __name__ == "__main__":
    tell(train(sys.argv[1], Path(sys.argv[2])))
