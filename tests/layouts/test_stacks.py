"""Items of several files: the slices of a series are one image, and so are a header and the data beside it."""

from curate.images.dicom import Header
from curate.layouts.image_index import ImageIndex
from curate.layouts.stacks import merged, paired, series_of, uid_name
from curate.layouts.tree import Entry
from curate.schema import Reason, Refusal


def header(series: str, instance: str, patient: str = "p", frames: int = 1, **values: str) -> Header:
    """What scan reads of one file."""
    uids = {"SeriesInstanceUID": series, "SOPInstanceUID": instance, "PatientID": patient}
    return Header({"Modality": "CT", **values}, uids, frames)


SLICES = {
    Entry("ct/IM10", None, 100): header("1.2", "1.2.10"),
    Entry("ct/IM2", None, 50): header("1.2", "1.2.2"),
    Entry("ct/loc", None, 7): header("1.3", "1.3.1"),
    Entry("mr/all.dcm", None, 900): header("1.2", "1.2.99", frames=40),
}


def test_files_of_one_series_are_one_image_and_a_multi_frame_file_is_one_by_itself() -> None:
    stacks = series_of(SLICES, lambda uid: f"t{uid}")
    assert [stack.entry for stack in stacks] == [Entry("series/t1.2", None, 150), Entry("series/t1.3", None, 7)]
    assert [entry.path for entry in stacks[0].members] == ["ct/IM10", "ct/IM2"]


def test_no_identifier_stands_in_the_path_of_a_series() -> None:
    assert not any("1.2" in stack.entry.path for stack in series_of(SLICES, lambda _: "token"))


def test_a_label_may_mean_a_series_by_its_folder_its_files_or_its_uids() -> None:
    slices = {entry: header for entry, header in SLICES.items() if entry.path != "ct/loc"}
    (stack,) = series_of(slices, lambda _: "token")
    index = ImageIndex([stack.entry], [(name, stack.entry) for name in stack.names])
    for name in ("ct", "ct/IM2", "IM10", uid_name("1.2"), uid_name("1.2.10"), "series/token"):
        assert index.resolve(name) == stack.entry, name
    assert isinstance(index.resolve(uid_name("1.2.99")), Refusal)


def test_a_series_says_what_all_its_files_say() -> None:
    found = merged([header("1.2", "a", InstanceNumber="1"), header("1.2", "b", InstanceNumber="2")])
    assert found == Header({"Modality": "CT"}, {"SeriesInstanceUID": "1.2", "PatientID": "p"}, 2)


def test_a_series_of_two_patients_is_refused() -> None:
    found = merged([header("1.2", "a"), header("1.2", "b", patient="q")])
    assert isinstance(found, Refusal)
    assert found.reason is Reason.CONFLICTING_SUBJECT


def test_a_header_and_the_data_of_the_same_stem_are_one_image() -> None:
    names = ["a/x+orig.HEAD", "a/x+orig.BRIK.gz", "b/T2.PAR", "b/T2.rec", "c/lonely.mhd", "d/v.nii", "e/w.hdr"]
    listed = {name: Entry(name, None, 10) for name in names}
    stacks = paired([listed[name] for name in names], listed)
    assert {stack.entry.path: [member.path for member in stack.members] for stack in stacks} == {
        "a/x+orig.HEAD": ["a/x+orig.HEAD", "a/x+orig.BRIK.gz"],
        "b/T2.PAR": ["b/T2.PAR", "b/T2.rec"],
    }
    assert [stack.entry.bytes for stack in stacks] == [20, 20]


def test_files_without_a_series_are_put_together_by_folder_and_frame_of_reference() -> None:
    def bare(frame: str, **values: str) -> Header:
        return Header({"Rows": "64", "Columns": "64", **values}, {"FrameOfReferenceUID": frame}, 1)

    headers = {
        Entry("a/1", None, 1): bare("9.1"),
        Entry("a/2", None, 1): bare("9.1"),
        Entry("a/scout", None, 1): bare("9.1", Rows="512"),
        Entry("b/1", None, 1): bare("9.1"),
        Entry("b/alone", None, 1): Header({}, {}, 1),
    }
    stacks = series_of(headers, lambda identifier: str(len(identifier)))
    assert [[entry.path for entry in stack.members] for stack in stacks] == [["a/1", "a/2"], ["a/scout"], ["b/1"]]
    assert all(stack.entry.path.startswith("frame_of_reference/") for stack in stacks)
    assert "a" in stacks[0].names
