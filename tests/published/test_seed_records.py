"""Counts that were measured on published files of ten systems come out by general rules; clean files stay silent.

The numbers were measured apart from this package, on exactly these files.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.published import FileReport, Finding, Report, check_records

Data = Callable[[str], Path]


class Checked:
    """A report by file name."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def counts(self, rule: str, file: str, words: str = "") -> list[tuple[int, int]]:
        """(count, of) of every finding of a rule in a file (by the end of its path) whose message holds words."""
        return [(found.count, found.of) for found in self.found(rule, file, words)]

    def count(self, rule: str, file: str, words: str = "") -> int:
        """The one count, 0 without any finding."""
        found = self.counts(rule, file, words)
        assert len(found) < 2, found
        return found[0][0] if found else 0

    def found(self, rule: str, file: str = "", words: str = "") -> list[Finding]:
        """Findings of a rule."""
        held = [found for found in self.report.findings if found.rule == rule and found.file.endswith(file)]
        return [found for found in held if words in found.message]

    def file(self, name: str) -> FileReport:
        """What was read of a file."""
        (found,) = [one for one in self.report.files if one.path.endswith(name)]
        return found


@pytest.fixture(scope="module")
def seeds(request: pytest.FixtureRequest) -> Callable[[str], Checked]:
    """The report on the folder of one system."""
    root = request.getfixturevalue("test_data")("seed-records")
    made: dict[str, Checked] = {}

    def report(system: str) -> Checked:
        if system not in made:
            made[system] = Checked(check_records([root / system]))
        return made[system]

    return report


def test_a_manifest_with_a_comma_too_many_is_told_and_still_compared_with_its_file(
    seeds: Callable[[str], Checked],
) -> None:
    found = seeds("gmai-vl")
    (invalid,) = found.found("invalid_json")
    assert invalid.file.endswith("example_list.json")
    assert "line 9 column 1 (char 185)" in invalid.message
    (length,) = found.found("manifest_length")
    assert "38276" in length.message and "has 1 rows" in length.message
    assert not found.found("media_tokens")


def test_a_recorded_size_that_is_right_is_not_told(test_data: Data) -> None:
    folder = test_data("seed-records") / "gmai-vl" / "examples"
    report = check_records([folder / "example_data.json"], images=folder)
    assert not report.findings


def test_levels_of_referring_prompts_change_their_type(seeds: Callable[[str], Checked]) -> None:
    found = seeds("medvlsm")
    for name in ("busi/anns/train.json", "busi/anns/val.json", "busi/anns/test.json"):
        (mixed,) = found.found("mixed_types", name)
        assert mixed.count == 5
        assert all(f"prompts.{level} " in mixed.message for level in ("p2", "p3", "p4", "p5", "p6"))
    assert {one.file.split("/")[-3] for one in found.found("mixed_types")} == {"busi"}


def test_boxes_of_nothing_and_absent_boxes(seeds: Callable[[str], Checked]) -> None:
    found = seeds("medvlsm")
    busi = found.found("degenerate_box", words="x2 <= x1")
    assert (sum(one.count for one in busi), sum(one.of for one in busi)) == (133, 780)
    assert all("/busi/" in one.file for one in busi)
    absent = found.found("absent_box")
    assert (sum(one.count for one in absent), sum(one.of for one in absent)) == (1200, 1200)
    assert all("/camus/" in one.file for one in absent)


def test_prompts_that_count_several_tumours_in_one_box(seeds: Callable[[str], Checked]) -> None:
    found = [one for one in seeds("medvlsm").found("number_word", words="two, three, four") if "/busi/" in one.file]
    assert (sum(one.count for one in found), sum(one.of for one in found)) == (54, 780)


def test_no_benign_name_is_called_malignant_by_its_prompts(seeds: Callable[[str], Checked]) -> None:
    assert not seeds("medvlsm").found("class_contradiction")


def test_splits_that_share_images(seeds: Callable[[str], Checked]) -> None:
    found = seeds("medvlsm")
    (camus,) = found.found("split_overlap", "camus/anns", "images")
    assert (camus.count, camus.of) == (200, 200) and set(camus.rows) == {"test.json", "val.json"}
    (isic,) = found.found("split_overlap", "isic/anns", "images")
    assert (isic.count, isic.of) == (3, 379) and "(809)" in isic.message
    assert not found.found("split_overlap", "busi/anns")


def test_a_preference_file_that_length_and_meta_text_give_away(seeds: Callable[[str], Checked]) -> None:
    found, name = seeds("mmedpo"), "slake_dpo_weighted.json"
    assert found.counts("identical_pair", name) == [(5, 4919)]
    assert found.counts("rejected_extends_chosen", name) == [(22, 4919)]
    assert found.counts("meta_text", name, "rejected answers speak of falsity") == [(21, 4919)]
    (style,) = found.found("style_shortcut", name)
    assert "chosen 1 vs rejected 11 words" in style.message
    assert not found.found("repeated_row", name)
    assert found.count("several_answers", name) == 2


ULTRASOUND = {
    "2D_Ultrasound_Sequences_Of_The_Liver.json": (7, 0, 0, 0, 4),
    "BUSC.json": (250, 65, 8, 0, 0),
    "BUSI.json": (780, 130, 28, 7, 0),
    "BUS_UC.json": (811, 149, 94, 1, 0),
    "CCAUS.json": (1100, 301, 389, 1, 0),
    "Dataset of B-mode fatty liver ultrasound images.json": (55, 5, 0, 0, 0),
}


@pytest.mark.parametrize("name", ULTRASOUND)
def test_sides_flow_and_sizes_that_an_ultrasound_still_cannot_give(seeds: Callable[[str], Checked], name: str) -> None:
    found = seeds("echovlm")
    rows, sides, flow, sizes, repeats = ULTRASOUND[name]
    assert (found.file(f"/{name}").format, found.file(f"/{name}").rows) == ("conversations", rows)
    assert found.count("unsupported_side", f"/{name}", "a side, a sided breast or lobe") == sides
    assert found.count("flow_on_still", f"/{name}", "blood flow") == flow
    assert found.count("unsupported_size", f"/{name}", "mm or cm") == sizes
    assert found.count("repeated_answer", f"/{name}") == repeats
    assert not found.found("repeated_id", f"/{name}")
    assert not found.found("differs_from_field", f"/{name}")


def test_descriptions_that_contradict_the_class_in_their_identifier(seeds: Callable[[str], Checked]) -> None:
    found = seeds("echovlm")
    assert found.counts("class_contradiction", "/BUSI.json", "says benign, the text affirms malignant") == [(23, 437)]
    assert found.counts("class_contradiction", "/BUSI.json", "says malignant, the text affirms benign") == [(16, 210)]
    assert found.counts("class_contradiction", "/BUSI.json", "says normal, the text describes a lesion") == [(50, 133)]
    assert {Path(one.file).name for one in found.found("class_contradiction")} == {"BUSI.json"}


def test_pools_of_questions(seeds: Callable[[str], Checked]) -> None:
    found = seeds("echovlm")
    (invalid,) = found.found("invalid_json")
    assert invalid.file.endswith("english_multi_image_finding_question.json")
    assert "line 73 column 1 (char 7465)" in invalid.message
    pools = [one for one in found.report.files if "/question_json/" in one.path]
    assert {one.format for one in pools} == {"text"}
    assert sum(one.rows for one in pools if one.path != invalid.file) == 1198
    assert not found.found("repeated_question")


def test_question_trees_of_normal_reports(seeds: Callable[[str], Checked]) -> None:
    found = seeds("rad-restruct")
    assert (len(found.report.files), sum(one.rows for one in found.report.files)) == (82, 3843)
    (balance,) = found.found("label_balance")
    assert "yes 214, no 3340, other 125" in balance.message
    (same,) = found.found("identical_files")
    assert (same.count, same.of) == (35, 82) and "largest group has 32" in same.message
    assert not found.found("answer_not_an_option")
    assert not found.found("child_of_negative")


@pytest.mark.parametrize(
    ("name", "overlaps", "rows"),
    [
        ("OphNet2024_loca_all.csv", 218, 17508),
        ("OphNet2024_loca_challenge.csv", 218, 17508),
        ("OphNet2024_loca_challenge_phase.csv", 186, 14674),
    ],
)
def test_phases_that_overlap_in_a_video(seeds: Callable[[str], Checked], name: str, overlaps: int, rows: int) -> None:
    found = seeds("ophnet")
    assert found.counts("interval_overlap", name) == [(overlaps, rows)]
    assert found.file(name).summary == f"743 videos, {rows} intervals"
    assert not found.found("interval_inverted", name)
    assert not found.found("split_overlap", name)


def test_versions_and_forms_of_one_annotation(seeds: Callable[[str], Checked]) -> None:
    found = seeds("ophnet")
    (versions,) = found.found("table_versions")
    assert (versions.count, versions.of) == (514, 17508)
    assert "surgery_id 3, phase_id 197, operation_id 511" in versions.message
    assert found.file("OphNet2024_phase.json").summary == "743 videos, 14674 intervals"
    assert found.file("OphNet2024_operation.json").summary == "743 videos, 17508 intervals"
    assert not found.found("json_against_table")


def test_videos_without_time_annotation(seeds: Callable[[str], Checked]) -> None:
    found = seeds("ophnet")
    assert (found.file("surgery.csv").rows, found.file("surgery.csv").summary) == (1969, "1969 values of video_id")
    coverage = found.found("key_coverage")
    assert {(Path(one.file).name, one.count, one.of) for one in coverage} == {("OphNet2024_surgery.csv", 1226, 1969)}
    assert all("(743 have)" in one.message for one in coverage)


@pytest.mark.parametrize(("name", "rows", "degenerate"), [("Task8_mini.json", 50, 0), ("Task8_500.json", 500, 1)])
def test_referring_conversations(seeds: Callable[[str], Checked], name: str, rows: int, degenerate: int) -> None:
    found = seeds("medsg-reproduction")
    assert found.counts("absolute_path", name) == [(rows, rows)]
    assert found.counts("degenerate_box", name) == ([(degenerate, 1500)] if degenerate else [])
    for clean in ("media_tokens", "image_ordinal", "box_out_of_range", "missing_box", "referred_name", "role_order"):
        assert not found.found(clean, name)


def test_a_registry_of_somebody_elses_machine(seeds: Callable[[str], Checked]) -> None:
    assert seeds("medsg-reproduction").counts("absolute_path", "dataset_info.json") == [(13, 13)]


@pytest.mark.parametrize(
    ("name", "replies", "lines", "holes"),
    [
        ("llama_gen_expert_qa_how_many.json", 1, (15, 0), 5),
        ("llama_gen_expert_qa_lesions.json", 4, (81, 0), 0),
        ("llama_gen_expert_qa_vista3d.json", 10, (192, 192), 0),
    ],
)
def test_replies_of_a_model_kept_as_prose(
    seeds: Callable[[str], Checked], name: str, replies: int, lines: tuple[int, int], holes: int
) -> None:
    found = seeds("vila-m3")
    (prose,) = found.found("reply_needs_parser", name)
    assert (prose.count, prose.of) == (replies, replies)
    assert f"{lines[0]} numbered lines, {lines[1]} lines that begin with 'A:'" in prose.message
    assert found.count("placeholder", name) == holes


def test_a_datalist_whose_sections_are_apart(seeds: Callable[[str], Checked]) -> None:
    found = seeds("vila-m3")
    assert found.file("datalist.json").summary == "training 200, validation 42, testing 43"
    assert not [one for one in found.report.findings if one.file.endswith("datalist.json")]


def test_a_benchmark_that_took_whole_strata(seeds: Callable[[str], Checked]) -> None:
    found = seeds("deeptumorvqa")
    (taken,) = found.found("benchmark_is_pool")
    assert (taken.count, taken.of) == (12, 42)
    assert found.file("subtype_schema.csv").summary == "n_benchmark 10000, n_full_dataset 47933"
    assert found.counts("small_stratum", "subtype_schema.csv") == [(5, 42)]


def test_clean_training_formats_stay_silent(seeds: Callable[[str], Checked]) -> None:
    found = seeds("llama-factory-demo")
    for clean in ("media_tokens", "identical_pair", "role_order", "tool_call", "absolute_path", "empty_turn"):
        assert not found.found(clean)
    shapes = {Path(one.path).name: (one.format, one.rows) for one in found.report.files}
    assert shapes["mllm_video_audio_demo.json"] == ("messages", 3)
    assert shapes["dpo_zh_demo.json"] == ("preference", 300)
    assert shapes["glaive_toolcall_zh_demo.json"] == ("conversations", 300)


def test_the_balance_of_truth_labels(seeds: Callable[[str], Checked]) -> None:
    (balance,) = seeds("llama-factory-demo").found("label_balance", "kto_en_demo.json")
    assert balance.severity == "note" and "true 150, false 150" in balance.message


def test_registered_datasets_whose_file_is_absent(seeds: Callable[[str], Checked]) -> None:
    found = seeds("llama-factory-demo")
    assert found.counts("dangling_entry", "dataset_info.json") == [(16, 23)]
    assert found.file("dataset_info.json").summary == "108 datasets, 23 with file_name"


def test_messages_never_quote_a_record(seeds: Callable[[str], Checked]) -> None:
    for system in ("echovlm", "mmedpo", "llama-factory-demo"):
        for found in seeds(system).report.findings:
            assert len(found.message) < 400
            assert "乳" not in found.message and "Gaichao" not in found.message
