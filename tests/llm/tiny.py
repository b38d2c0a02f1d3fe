"""Random-weight models of a few hundred kilobytes, made on the spot, that vLLM serves like any other.

Their answers are noise: they show that requests, batching, structured output, errors and restarts work, never quality.
"""

import json
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SENTENCES = (
    "The image shows a chest radiograph without a pleural effusion.",
    "How many erythrocytes can be counted in this blood smear?",
    "There are 12 erythrocytes and 1 leukocyte in the field of view.",
    '{"question": "What is seen?", "answer": "A nodule in the left upper lobe."}',
    "图像中可见左肺下叶实变，未见胸腔积液。",
)
TEXT: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}


def text_model(folder: Path, context_tokens: int = 2048) -> Path:
    """A Qwen3 that reads text alone. Returns the folder, which holds the whole model."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokens = _tokenizer(folder)
    config = Qwen3Config(
        **TEXT | {"max_position_embeddings": context_tokens}, head_dim=32, vocab_size=len(tokens), **_ends(tokens)
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).to(torch.float32).save_pretrained(folder)
    return folder


def vision_model(folder: Path) -> Path:
    """A Qwen2.5-VL that takes images too."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokens = _tokenizer(folder)
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "out_hidden_size": TEXT["hidden_size"],
        "num_heads": 4,
        "intermediate_size": 128,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        text_config=TEXT | {"vocab_size": len(tokens), "rope_parameters": rope, **_ends(tokens)},
        vision_config=vision,
        image_token_id=tokens.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokens.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokens.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokens.convert_tokens_to_ids("<|vision_end|>"),
        **_ends(tokens),
    )
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).to(torch.float32).save_pretrained(folder)
    _preprocessor(folder)
    return folder


def _ends(tokens: Any) -> dict[str, int]:
    return {
        "bos_token_id": tokens.convert_tokens_to_ids("<|endoftext|>"),
        "eos_token_id": tokens.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokens.convert_tokens_to_ids("<|endoftext|>"),
    }


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(SENTENCES, trainer)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokens.save_pretrained(folder)
    return tokens


def _preprocessor(folder: Path) -> None:
    """What Qwen's own processor reads beside the weights."""
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "min_pixels": 28 * 28,
        "max_pixels": 16 * 28 * 28,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHATML}))
