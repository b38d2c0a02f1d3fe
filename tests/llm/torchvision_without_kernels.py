"""Lets a torchvision that was built for another torch be imported: it declares the two operators that it asks for.

`tests/llm/environment.py` puts this module beside a `.pth` line into the virtual environment, so that every process
has it, the engine's own included. Nothing is imported before torchvision is.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder


class BeforeTorchvision(MetaPathFinder):
    """Declares the operators right before torchvision is found, once."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        import torch

        torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library.define("torchvision::qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return PathFinder.find_spec(fullname)


sys.meta_path.insert(0, BeforeTorchvision())
