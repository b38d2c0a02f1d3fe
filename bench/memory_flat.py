"""Memory stays flat while the input grows tenfold, and time grows no faster than the input.

Run: python bench/memory_flat.py [--images N]
"""

import argparse
import sys

from common import compare, main, print_table, workplace
from work1_store import CONTESTANTS, prepare

NAME = "curate"

if __name__ == "__main__":
    if "--run" in sys.argv:
        main("", CONTESTANTS, prepare, 0)
        sys.exit()
    parser = argparse.ArgumentParser(description="Memory while the input grows tenfold")
    parser.add_argument("--images", type=int, default=2000, help="of the small run; the large one has ten times more")
    small = parser.parse_args().images
    results = {}
    for count in (small, 10 * small):
        with workplace() as folder:
            inputs = prepare(folder / "inputs", count)
            results[f"{NAME}, {count} images"] = compare([NAME], inputs, folder / "out", 3)[NAME]
    print_table("Memory while the input grows tenfold", results)
