"""MRC files that public reports tell of; each test names its report."""

import gzip
import struct

import mrcfile
import numpy as np
import pytest
from tests.stages.ingest.formats.test_mrc import everything, mrc_bytes

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.stages.ingest.formats.mrc import open_mrc
from volproc.stages.ingest.stage import plan_ingest

VALUES = np.random.default_rng(4).integers(-100, 100, (3, 4, 5)).astype("i2")


@pytest.fixture
def made(tmp_path):
    """A source of a file with some fields of its header written over: made(values, {52: ...})."""

    def make(values=VALUES, changes=None, **fields):
        content = bytearray(mrc_bytes(values, **fields))
        for place, data in (changes or {}).items():
            content[place : place + len(data)] = data
        path = tmp_path / "a.mrc"
        path.write_bytes(content)
        return open_mrc(str(path))

    return make


def floats(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


@pytest.mark.parametrize("axes", [(3, 2, 1), (1, 3, 2), (2, 1, 3), (3, 1, 2)])
def test_cell_and_sampling_are_of_x_y_and_z(made, axes):
    """ccpem/mrcfile#23: MX is the sampling along X, whichever axis the columns are."""
    stored = VALUES.transpose([3 - name for name in axes[::-1]])
    source = made(stored, axes=axes, cell=(50, 80, 90), sampling=(5, 4, 3))
    np.testing.assert_array_equal(everything(source), VALUES)
    assert source.voxel_nm == pytest.approx((3, 2, 1))


def test_maps_whose_columns_are_z_are_read(made):
    """salilab/imp#1053: (3, 2, 1), as phenix and a tenth of the EMDB have them."""
    source = made(np.ascontiguousarray(VALUES.T), axes=(3, 2, 1))
    np.testing.assert_array_equal(everything(source), VALUES)


def test_the_start_follows_the_columns_and_the_origin_does_not(made):
    """MDAnalysis/GridDataFormats#100."""
    stored, cell = np.ascontiguousarray(VALUES.T), {"cell": (50, 80, 90), "sampling": (5, 4, 3)}
    source = made(stored, axes=(3, 2, 1), start=(7, 8, 9), **cell)
    assert source.stated.corner_nm((3, 2, 1)) == pytest.approx((7 * 3 - 1.5, 8 * 2 - 1, 9 - 0.5))
    source = made(stored, axes=(3, 2, 1), origin=(70, 80, 90), **cell)
    assert source.stated.corner_nm((3, 2, 1)) == pytest.approx((9 - 1.5, 8 - 1, 7 - 0.5))


@pytest.mark.parametrize("axes", [(1, 1, 1), (1, 2, 0), (3, 3, 1)])
def test_axes_that_make_no_sense_are_not_guessed(made, axes):
    """odlgroup/odl#990: such files were to be read as x, y, z without a word."""
    with pytest.raises(IngestError, match=r"expected 1, 2 and 3 \(x, y and z\) in some order"):
        made(axes=axes)


def test_space_group_0_alone_is_no_image_stack(tmp_path):
    """BradyAJohnston/MolecularNodes#1080: ChimeraX and CryoSPARC write it for volumes."""
    with mrcfile.new(tmp_path / "a.mrc", VALUES) as file:
        file.voxel_size = (10, 20, 30)
        file.header.ispg = 0
    source = open_mrc(str(tmp_path / "a.mrc"))
    assert source.voxel_nm == pytest.approx((3, 2, 1))
    np.testing.assert_array_equal(everything(source), VALUES)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("zipped", [False, True])
def test_bytes_with_the_flag_of_half_bytes_hold_two_voxels(tmp_path, order, zipped):
    """cryoem/eman2#458: a flag of IMOD's that was tested wrongly; columns are counted in bytes."""
    packed = np.random.default_rng(6).integers(0, 256, (2, 3, 5)).astype("u1")
    meant = np.stack([packed & 15, packed >> 4], axis=-1).reshape(2, 3, 10)
    content = mrc_bytes(packed, mode=0, order=order, imod=16, cell=(100, 60, 40))
    path = tmp_path / ("a.mrc.gz" if zipped else "a.mrc")
    path.write_bytes(gzip.compress(content) if zipped else content)
    source = open_mrc(str(path))
    assert (source.shape, source.dtype) == ((2, 3, 10), "uint8")
    np.testing.assert_array_equal(everything(source), meant)
    # the cell counts columns as the header does: of voxels it is twice as wide
    assert source.voxel_nm == pytest.approx((2, 2, 2))


def test_half_bytes_with_a_sign_are_refused(made):
    """cryoem/eman2#458: IMOD does not read them either."""
    with pytest.raises(IngestError, match="half bytes in signed bytes, which do not exist"):
        made(VALUES.astype("i1"), imod=17)


@pytest.mark.parametrize(
    ("fields", "dtype"),
    [
        ({"imod": 1}, "int8"),  # ome/bioformats#1656, ccpem/mrcfile#69
        ({"imod": 0}, "uint8"),  # timothygrant80/cisTEM#260
        ({"ends": (0, 255)}, "uint8"),  # chanzuckerberg/cryoet-data-portal#691
        ({"ends": (-128, 127)}, "int8"),  # InsightSoftwareConsortium/ITK#2088
    ],
)
def test_the_sign_of_bytes(made, fields, dtype):
    """Reports of both kinds: read with the wrong sign, white becomes black."""
    values = VALUES.astype("i1")
    source = made(values, **fields)
    assert source.dtype == dtype
    np.testing.assert_array_equal(everything(source), values.view(dtype))


@pytest.mark.parametrize(
    "size",
    [122, 768, 888 * 13 + 3816, 128 * 1024],
    # odlgroup/odl#892; silx-kit/fabio#444; ccpem/mrcfile#54; ccpem/mrcfile#11
)
def test_data_begin_behind_an_extended_header_of_any_size(made, size):
    """silx-kit/fabio#444: what was read there looked like a shifted image."""
    np.testing.assert_array_equal(everything(made(extended=size)), VALUES)


def test_an_extended_header_that_is_not_there_is_refused(made):
    """ccpem/mrcfile#51, juglab/cryoCARE_pip#29: its size was copied, the header was not."""
    with pytest.raises(IngestError, match="is cut short: 1144 bytes, expected at least 51064"):
        made(changes={92: struct.pack("<i", 49920)})


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("stamp", [b"\x44\0\0\0", b"\x44   ", b"\0\0\0\0", b"\x90\x42\x4d\xc3"])
def test_a_machine_stamp_of_any_kind_is_borne(made, stamp, order):
    """ccpem/mrcfile#4 (SerialEM), brisvag/blik#131, baradlab/surface_morphometrics#9."""
    np.testing.assert_array_equal(everything(made(order=order, changes={212: stamp})), VALUES)


def test_a_file_without_the_word_map_is_read(made):
    """ccpem/mrcfile#44: Amira exports segmentations so."""
    changes = {208: b"|\x94\xf2\xc4\x90\x42\x4d\xc3"}
    source = made(VALUES.astype("f4"), changes=changes, cell=(50, 80, 90))
    np.testing.assert_array_equal(everything(source), VALUES)
    assert source.voxel_nm == pytest.approx((3, 2, 1))


@pytest.mark.parametrize("angles", [(0, 0, 0), (90, 90, 90), (89.99, 90.01, 90)])
def test_right_angles_and_none_are_a_volume(made, angles):
    """StochasticAnalytics/emClarity#108: maps whose cell angles are 0."""
    source = made(changes={52: floats(*angles)}, cell=(50, 80, 90))
    assert source.voxel_nm == pytest.approx((3, 2, 1))


@pytest.mark.parametrize("angles", [(90, 90, 120), (90, 101.5, 90), (60, 90, 90)])
def test_a_slanted_cell_is_refused(made, angles):
    """MDAnalysis/GridDataFormats#100: read as if its angles were right."""
    said = f"{angles[0]:g}, {angles[1]:g}, {angles[2]:g}"
    with pytest.raises(IngestError, match=f"angles of {said} degrees.*resample"):
        made(changes={52: floats(*angles)}, cell=(50, 80, 90))


@pytest.mark.parametrize("cell", [(0, 0, 0), (50, 80, 0), (5, 4, 3)])
def test_a_cell_that_states_no_size_asks_for_it(tmp_path, cell):
    """juglab/cryoCARE_pip#29: zeros, no z, or 1 Å for not known."""
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(VALUES, cell=cell))
    with pytest.raises(IngestError, match=r"states no voxel size.*--voxel-nm"):
        plan_ingest(str(path), str(tmp_path / "o.zarr"), IngestOptions())
    plan = plan_ingest(str(path), str(tmp_path / "o.zarr"), IngestOptions(voxel_nm=(3, 2, 1)))
    assert plan.output.voxel_nm == (3, 2, 1)
