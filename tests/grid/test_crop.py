import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import GridError
from volproc.grid.box import Box, whole_box
from volproc.grid.crop import parse_crop
from volproc.grid.scale import VoxelNm

SHAPE = (100, 2000, 3000)
ANISOTROPIC = VoxelNm((50.0, 10.0, 10.0))


def box_of(text, shape=SHAPE):
    return parse_crop(text).box(shape, ANISOTROPIC)


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("10:20,0:512,100:612", (10, 0, 100), (20, 512, 612)),
        (" 10 : 20, 0:512 ,100:612", (10, 0, 100), (20, 512, 612)),
        ("10:,:512,:", (10, 0, 0), (100, 512, 3000)),
        (":,:,:", (0, 0, 0), SHAPE),
        ("0:2um,0:10um,5um:10um", (0, 0, 500), (40, 1000, 1000)),
        ("1:2um,500:700nm,0:10", (20, 50, 0), (40, 70, 10)),
        ("1µm:2µm,0:1e-3mm,0:1000 nm", (20, 0, 0), (40, 100, 100)),
        ("512", (0, 744, 1244), (100, 1256, 1756)),
        ("512^3", (0, 744, 1244), (100, 1256, 1756)),
        ("20x512x100", (40, 744, 1450), (60, 1256, 1550)),
        ("1um", (40, 950, 1450), (60, 1050, 1550)),
        ("1um:2,0:1,0:1", (20, 0, 0), (40, 1, 1)),
        ("1um x 2um x 3um", (40, 900, 1350), (60, 1100, 1650)),
    ],
)
def test_boxes_in_voxels_and_lengths(text, start, stop):
    assert box_of(text) == Box(start, stop)


@given(st.tuples(*(st.integers(1, n) for n in SHAPE)))
def test_a_box_in_the_middle_has_its_size_and_as_much_on_either_side(size):
    found = box_of("x".join(map(str, size)))
    assert found.shape == size
    assert whole_box(SHAPE).contains(found)
    for a, b, n in zip(found.start, found.stop, SHAPE, strict=True):
        assert 0 <= (n - b) - a <= 1


@given(st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SHAPE)))
def test_voxels_and_the_same_in_nm_are_one_box(ends):
    spans = [(min(a, b - 1), b) for a, b in ends]
    voxels = ",".join(f"{a}:{b}" for a, b in spans)
    lengths = ",".join(
        f"{a * nm}:{b * nm}nm" for (a, b), nm in zip(spans, ANISOTROPIC, strict=True)
    )
    assert box_of(voxels) == box_of(lengths)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0:101,0:10,0:10", r"along z it names voxels 0:101, and the volume has 100 \(5000 nm\)"),
        ("0:10,0:10,3000:3001", "along x it names voxels 3000:3001, and the volume has 3000"),
        ("200:,:,:", "along z it names voxels 200:100, and the volume has 100"),
        ("100:,:,:", "along z voxels 100:100 are none"),
        ("0:10,0:1mm,0:10", "along y it names voxels 0:100000, and the volume has 2000"),
        ("10:5,0:10,0:10", "along z it begins at 10 and ends at 5; the second end has to"),
        ("5:5,0:10,0:10", "along z it begins at 5 and ends at 5; the second end has to"),
        ("0:10,0:4nm,0:10", "along y voxels 0:0 are none of voxels of 10 nm"),
        ("-5:10,0:10,0:10", "-5 is negative; a volume begins at 0"),
        ("0:-5,0:10,0:10", "-5 is negative; a volume begins at 0"),
        ("0:10,0:10", "has 2 ranges; expected"),
        ("0:10,0:10,0:10,0:10", "has 4 ranges; expected"),
        ("0:10,5,0:10", "'5' is no range along y; expected"),
        ("0:1:2,0:10,0:10", "'0:1:2' is no range along z; expected"),
        ("ten:2um,0:10,0:10", "'ten' is no length; expected"),
        ("0:ten,0:10,0:10", "'ten' is no length; expected"),
        ("0:1.2.3,0:10,0:10", "'1.2.3' is no length; expected"),
        ("0:1e999,0:10,0:10", "'1e999' is no length; expected"),
        ("0:inf,0:10,0:10", "'inf' is no length; expected"),
        ("0:1.5,0:10,0:10", "1.5 is no whole number of voxels; for a length give a unit"),
        ("0:10px,0:10,0:10", "'px' is no unit of length; take nm, um or mm"),
        ("0", "has a size of 0; expected"),
        ("-512", "-512 is negative"),
        ("512x512", "has 2 sizes; expected"),
        ("", "'' is no length; expected"),
        ("middle", "'middle' is no length; expected"),
    ],
)
def test_what_is_no_box_of_the_volume_is_refused_in_one_line(text, what):
    with pytest.raises(GridError, match=what) as refused:
        box_of(text)
    assert "\n" not in str(refused.value)
    assert repr(text) in str(refused.value)
