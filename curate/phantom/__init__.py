"""Plausible medical images with exactly known geometry, in the public layouts: ground truth without any download."""

from curate.phantom.truth import DatasetTruth, ImageTruth, ObjectTruth, QuestionTruth, Truth
from curate.phantom.write import PHANTOMS, PhantomSpec, write_phantoms

__all__ = [
    "PHANTOMS",
    "DatasetTruth",
    "ImageTruth",
    "ObjectTruth",
    "PhantomSpec",
    "QuestionTruth",
    "Truth",
    "write_phantoms",
]
