"""Under which keys published rows hold what. Keys are compared in small letters, and the first that is held counts."""

import functools
from typing import Final

import msgspec

__all__ = ["BOX_KEYS", "LETTERS", "REPLY_KEYS", "TURN_KEYS", "Plan", "plan_of"]

LETTERS: Final = "ABCDEFGHIJ"
TURN_KEYS: Final = ("conversations", "messages", "conversation", "dialogue", "turns")
BOX_KEYS: Final = ("bbox", "bboxes", "box", "boxes", "bounding_box", "bounding_boxes")
REPLY_KEYS: Final = ("reply", "response", "completion", "output", "generated_text", "raw_response", "generation")
_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "turns": TURN_KEYS,
    "prompt": ("prompt",),
    "question": ("question", "query", "prompt", "instruction", "problem", "final_question", "vqa_question",
                 "mc_question", "question_text", "q"),
    "more": ("input", "context"),
    "answer": ("answer", "answers", "response", "output", "completion", "ground_truth", "gt_answer", "true_answer",
               "vqa_answer", "correct_answer", "correct_option", "solution", "gt", "label_answer", "a"),
    "caption": ("caption", "report", "text", "description", "impression", "findings", "fig_caption", "sentence"),
    "reply": REPLY_KEYS,
    "chosen": ("chosen", "positive_response", "chosen_response", "preferred", "response_chosen"),
    "rejected": ("rejected", "rejected_conversations", "rejected_response", "negative_response", "dispreferred",
                 "rejected_messages", "response_rejected"),
    "id": ("id", "qid", "question_id", "uid", "uuid", "sample_id", "pair_id", "index", "idx"),
    "image": ("image", "images", "image_path", "image_paths", "img", "img_path", "img_name", "image_name",
              "image_file", "cur_image_path", "prior_image_path", "historical_image_path", "im_1", "im_2"),
    "video": ("video", "videos", "video_path"),
    "audio": ("audio", "audios", "audio_path"),
    "subject": ("subject", "subject_id", "patient", "patient_id", "patientid", "case_id", "participant_id"),
    "split": ("split", "subset", "partition", "fold", "set"),
    "boxes": BOX_KEYS,
    "options": ("options", "choices", "candidates"),
    "label": ("label", "kto_tag"),
    "reward": ("reward_model",),
    "objects": ("objects",),
    "tools": ("tools",),
    "levels": ("prompts",),
}  # fmt: skip
_SIZES: Final = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))
_LETTERED: Final = ("{}", "option_{}", "option {}", "choice_{}")


class Plan(msgspec.Struct, frozen=True):
    """For rows of one set of keys: the keys of each role in their order, of options by letter, of the image's size."""

    roles: dict[str, tuple[str, ...]]
    lettered: tuple[str, ...]
    size: tuple[str, str] | None

    def has(self, role: str) -> bool:
        """True where the rows have a key of a role."""
        return role in self.roles


@functools.lru_cache(maxsize=512)
def plan_of(keys: tuple[str, ...]) -> Plan:
    """The plan for rows that have exactly these keys."""
    low = {key.lower(): key for key in reversed(keys)}
    roles = {role: tuple(low[name] for name in names if name in low) for role, names in _ROLES.items()}
    lettered: tuple[str, ...] = ()
    for pattern in _LETTERED:
        names = [pattern.format(letter).lower() for letter in LETTERS]
        held = tuple(low[name] for name in names if name in low)
        if len(held) > 1:
            lettered = held
            break
    if lettered and "a" in (name.lower() for name in lettered):
        roles["answer"] = tuple(name for name in roles["answer"] if name.lower() != "a")
    size = next(((low[wide], low[high]) for wide, high in _SIZES if wide in low and high in low), None)
    return Plan({role: names for role, names in roles.items() if names}, lettered, size)
