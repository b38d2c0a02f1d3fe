"""The measured rates as Markdown, for a README or a dataset card: `python -m bench.verify.table rates.json`."""

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["main", "markdown"]


def _row(name: str, rate: dict[str, Any]) -> str:
    if not rate["n"]:
        return f"| {name} | 0 | - | - |"
    return f"| {name} | {rate['n']:,} | {rate['share']:.2%} | {rate['low']:.2%} to {rate['high']:.2%} |"


def markdown(rates: dict[str, Any]) -> str:
    """Tables of false texts caught by family and by group of hand-written lies, true texts refused, published pairs."""
    lines = ["| false texts | n | caught | 95 % interval |", "|---|---:|---:|---|"]
    lines += [_row(family, rate) for family, rate in rates["caught_by_family"].items()]
    lines += [
        _row("**all**", rates["caught"]),
        *(_row(group, rate) for group, rate in rates["hand_written_lies"].items()),
        "",
        "| true texts | n | refused | 95 % interval |",
        "|---|---:|---:|---|",
    ]
    lines += [_row(group, rate) for group, rate in rates["clean_refused"].items()]
    for name, file in rates["published"].items():
        lines += ["", f"| {name}, pairs with a plain fact | n | share | 95 % interval |", "|---|---:|---:|---|"]
        lines += [_row(f"chosen accepted, {kind}", rate) for kind, rate in file["chosen_accepted"].items()]
        lines += [_row(f"rejected refused, {kind}", rate) for kind, rate in file["rejected_refused"].items()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables of a file that `bench.verify.run --out` wrote."""
    paths = sys.argv[1:] if arguments is None else arguments
    print("\n".join(markdown(json.loads(Path(path).read_text())) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
