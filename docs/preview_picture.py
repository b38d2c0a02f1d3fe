"""Draws the pictures of docs/preview.md: the page of a preview as a browser shows it.

python docs/preview_picture.py PAGE.html docs
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SHOTS = {
    "preview.png": ("light", 1280, 860, "bccd"),
    "preview-volume.png": ("dark", 1280, 860, "phantom-ct"),
}
"""File -> colours, width and height in pixels, and the source whose first item is shown."""

HIGHEST_BYTES = 300_000


def main(page: Path, folder: Path) -> None:
    """One picture per entry of `SHOTS`."""
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (colours, width, height, source) in SHOTS.items():
            opened = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
            opened.goto(page.resolve().as_uri())
            opened.locator("#source").select_option(label=source)
            opened.keyboard.press("Escape")
            opened.locator("article:visible").first.evaluate("one => one.scrollIntoView()")
            opened.screenshot(path=folder / name)
            opened.close()
            Image.open(folder / name).convert("RGB").quantize(256).save(folder / name, optimize=True)
            size = (folder / name).stat().st_size
            if size > HIGHEST_BYTES:
                raise SystemExit(f"{name} has {size:,} bytes, more than {HIGHEST_BYTES:,}; show less in it")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
