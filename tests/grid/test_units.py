import pytest

from volproc.grid.units import in_nm, nm_per

WORDS = [
    ("nanometer", 1, "OME-Zarr 0.4, UDUNITS"),
    ("micron", 1e3, "saalfeldlab/n5-ij#73 and #125"),
    ("microns", 1e3, "ImageJ's plural"),
    ("\u00b5m", 1e3, "glencoesoftware/bioformats2raw#134: the micro sign"),
    ("\u03bcm", 1e3, "glencoesoftware/bioformats2raw#134: the Greek letter"),
    ("\u00c2\u00b5m", 1e3, "UTF-8 read as Latin-1"),
    ("\\u00B5m", 1e3, "ImageJ's escape (cgohlke/tifffile#152)"),
    ("um", 1e3, "blink1073/tifffile#15; UCUM"),
    ("UM", 1e3, "capitals"),
    ("micrometre", 1e3, "British"),
    ("Micrometers", 1e3, "ImageJ's menu"),
    ("pm", 1e-3, "IMBalENce/EM-tool#1: Zeiss below a nm"),
    ("picometer", 1e-3, "OME-Zarr"),
    ("m", 1e9, "ome/bioformats#4253: metres in exponents"),
    ("mm", 1e6, "ome/bioformats#1192: millimetres taken as micrometres"),
    ("Mm", 1e15, "capitals count in symbols"),
    ("\u212b", 0.1, "the Ångström sign"),
    ("Å", 0.1, "the letter"),
    ("Ao", 0.1, "UCUM"),
    ("[in_i]", 2.54e7, "UCUM"),
    ("inches", 2.54e7, "OME-XML"),
    (" nm\0", 1, "padded, as in fields of fixed length"),
    ("decimeter", 1e8, "ome/bioformats#4253"),
    ("yoctometer", 1e-15, "the least that OME-Zarr knows"),
]


@pytest.mark.parametrize(("word", "nm", "report"), WORDS, ids=[repr(w[0]) for w in WORDS])
def test_words_for_units_are_known(word, nm, report):
    assert nm_per(word) == pytest.approx(nm), report


@pytest.mark.parametrize("word", ["pixel", "", "1/nm", "second", "reference frame", None, 3])
def test_what_is_no_length_is_none(word):
    assert nm_per(word) is None
    assert in_nm(5, word) is None


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), "5", None])
def test_what_is_no_size_is_none(size):
    assert in_nm(size, "nm") is None
