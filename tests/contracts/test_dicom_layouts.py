"""The layouts of DICOM objects keep the contract that plug-ins keep."""

from collections.abc import Mapping

import numpy as np
import pytest

from curate.layouts.base import Layout
from curate.layouts.dicom_seg import DicomSeg
from curate.layouts.rtstruct import RtStruct
from curate.testing.layouts import LayoutContract
from tests.stages.drawn_patient import KIDNEY, LIVER, data_of, drawn, rectangle, segmentation, slices, structure_set

HELD = {"dicom_seg", "rtstruct"}
"""The layouts that this file holds to the contract."""

HEAD = """
id: example
title: An example
source: {home: example.org}
terms: {licence: CC0-1.0, quote: public domain, read_at: README.md}
subject: {none: not published}
images: {glob: "ct/*.dcm", form: volume}
labels: [%s]
"""


class TestDicomSeg(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return DicomSeg

    @pytest.fixture
    def card(self) -> str:
        return HEAD % "{layout: dicom_seg, files: seg/*.dcm}"

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        made, sources = drawn(), slices(drawn())[10:13]
        masks = np.stack([made.labels[10:13] == 3, made.labels[10:13] == 5], axis=-1).astype(np.uint8)
        one = segmentation(sources, masks, [LIVER, KIDNEY])
        other = segmentation(sources, masks[..., :1], [("999999", "Thing")])
        for series in other.ReferencedSeriesSequence:
            series.SeriesInstanceUID = "2.25.5"
        return {"seg/a.dcm": data_of(one), "seg/b.dcm": data_of(other)}


class TestRtStruct(LayoutContract):
    @pytest.fixture
    def layout(self) -> type[Layout]:
        return RtStruct

    @pytest.fixture
    def card(self) -> str:
        return HEAD % "{layout: rtstruct, files: rt/*.dcm, concepts: {PTV: target volume, couch: null}}"

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        ring = rectangle(drawn().grid, 5, (20, 30), (40, 60))
        return {
            "rt/a.dcm": data_of(structure_set({"PTV": [ring], "couch": [ring], "unlisted": []})),
            "rt/b.dcm": data_of(structure_set({"PTV": [ring]}, series_uid="2.25.5")),
        }
