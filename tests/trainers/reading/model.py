"""Make the model of noise that the trainers train."""

import sys
from pathlib import Path

from tests.llm.tiny import vision_model

if __name__ == "__main__":
    vision_model(Path(sys.argv[1]))
