"""Work 1: JPEG and PNG with labels into Parquet with embedded bytes, every image verified by decoding.

Ours is scan and read of a real build, then the same with group (duplicates confirmed by pixels). `embed` and
img2dataset verify nothing. Run: python bench/work1_store.py [--images N] [--rounds N]
"""

from pathlib import Path

from common import Inputs, main, replicate
from peers import by_hand, curate_until, datasets_embed, datasets_map, img2dataset_with, verified, webdataset_pillow

CONTESTANTS = {
    "hand": by_hand(verified),
    "curate": curate_until("group"),
    "curate with group": curate_until("draft"),
    "datasets map, verified": datasets_map,
    "webdataset + Pillow": webdataset_pillow,
    "datasets embed (unverified)": datasets_embed,
    "img2dataset (unverified)": img2dataset_with(disable_all_reencoding=True),
}


def prepare(folder: Path, count: int) -> Inputs:
    """Copies of every real image."""
    return replicate(folder, count, lambda data: True)


if __name__ == "__main__":
    main("Work 1: store with labels, verified", CONTESTANTS, prepare, 6000)
