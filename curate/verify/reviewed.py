"""The reviewed sentences about classes in general: data of the tasks, which the verifier reads on its own."""

import importlib.resources

__all__ = ["FRAMES", "descriptor_texts"]

FRAMES = "frames.yaml"
"""The file that says in which sentences a sign may stand; every other holds signs."""


def descriptor_texts() -> list[tuple[str, str]]:
    """Name and text of each file of `tasks/wordings/descriptors/`, by name."""
    folder = importlib.resources.files("curate").joinpath("tasks", "wordings", "descriptors")
    return sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yaml"))
