"""Entries as EMPIAR describes them."""

import json

import pytest
from tests.stages.ingest.empiar.servers import HttpArchive

from volproc import FetchOptions
from volproc.errors import IngestError
from volproc.stages.ingest.empiar.entry import accession, describe

# the fields and words of empiar_deposition.schema.json; sizes of images as text, as in EMPIAR-13192
ENTRY = {
    "EMPIAR-10094": {
        "title": "A pellet of HeLa cells",
        "status": "REL",
        "release_date": "2017-05-16",
        "experiment_type": "SBF-SEM",
        "scale": "cell",
        "entry_doi": "10.6019/EMPIAR-10094",
        "dataset_size": "32.4 GB",
        "authors": [{"author": {"name": "Jones ML", "order_id": 0, "author_orcid": None}}],
        "imagesets": [
            {
                "name": "Micrographs",
                "directory": "/data/Micrographs_ROI_00",
                "category": "micrographs - single frame",
                "header_format": "DM4",
                "data_format": "DM4",
                "num_images_or_tilt_series": 518,
                "frames_per_image": 1,
                "voxel_type": "UNSIGNED BYTE",
                "pixel_width": 100.0,
                "pixel_height": 100.0,
                "image_width": "8192",
                "image_height": "8192",
                "details": "50 nm slices",
                "micrographs_file_pattern": "",
            },
            {"name": "Something else", "directory": None, "pixel_width": None},
        ],
    }
}


def described(answer):
    with HttpArchive({}, json.dumps(answer).encode()) as archive:
        return describe("EMPIAR-10094", archive.options())


def test_accessions_are_told_from_paths():
    assert accession(" empiar-10094 ") == "EMPIAR-10094"
    for path in ("10094", "EMPIAR-10094/data", "EMPIAR-10094.zarr", "EMPIAR", "s3://EMPIAR-10094"):
        assert accession(path) is None


def test_an_entry_is_described_in_nm():
    entry = described(ENTRY)
    assert (entry.accession, entry.title) == ("EMPIAR-10094", "A pellet of HeLa cells")
    assert (entry.experiment, entry.size, entry.authors) == ("SBF-SEM", "32.4 GB", ("Jones ML",))
    first = entry.imagesets[0]
    assert (first.directory, first.format) == ("data/Micrographs_ROI_00", "DM4")
    assert (first.voxel_type, first.images) == ("UNSIGNED BYTE", 518)
    assert first.shape_yx == (8192, 8192)
    assert first.pixel_nm_yx == (10.0, 10.0)


def test_what_depositors_left_out_is_empty():
    second = described(ENTRY).imagesets[1]
    assert (second.name, second.directory, second.format) == ("Something else", "", "")
    assert second.images is second.shape_yx is second.pixel_nm_yx is None
    bare = described({"EMPIAR-10094": {"title": "No more than a title"}})
    assert bare.imagesets == bare.authors == ()


def test_an_unknown_entry_is_one_line():
    with (
        HttpArchive({}) as archive,
        pytest.raises(IngestError, match="EMPIAR-10094 is not a released entry"),
    ):
        describe("EMPIAR-10094", archive.options())


@pytest.mark.parametrize(
    "answer", [{}, {"EMPIAR-10094": None}, [], {"EMPIAR-10094": {"authors": [1]}}]
)
def test_another_answer_is_one_line(answer):
    with pytest.raises(IngestError, match="expected JSON with that key"):
        described(answer)


def test_a_page_instead_of_json_is_one_line():
    with (
        HttpArchive({}, b"<html>down for maintenance</html>") as archive,
        pytest.raises(IngestError, match="expected JSON with that key"),
    ):
        describe("EMPIAR-10094", archive.options())


def test_no_server_is_one_line(quick):
    with pytest.raises(IngestError, match="no connection: is there a network"):
        describe("EMPIAR-10094", FetchOptions(api="http://127.0.0.1:9/", timeout_s=1))


def test_other_words_are_no_accession():
    with pytest.raises(IngestError, match="'10094' is not an accession"):
        describe("10094", FetchOptions())
