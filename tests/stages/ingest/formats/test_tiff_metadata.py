"""An OME-TIFF in several files: none of them is the volume."""

import numpy as np
import pytest
import tifffile

from volproc import IngestOptions
from volproc.errors import IngestError
from volproc.grid.box import whole_box
from volproc.stages.ingest.formats.tiff_metadata import other_files
from volproc.stages.ingest.reader import open_source

STACK = np.random.default_rng(8).integers(1, 250, (4, 20, 30), dtype="uint8")
UUID = "urn:uuid:00000000-0000-0000-0000-00000000000{}".format
NAMES = [f"im_Z{z}.ome.tif" for z in range(4)]


def write(folder, *, own=True, named=NAMES, suffix="", companion=False):
    """Four files of a plane; the OME-XML of each names all."""
    for z, plane in enumerate(STACK):
        parts = "".join(
            f'<TiffData IFD="0" FirstZ="{n}" PlaneCount="1">'
            f'<UUID FileName="{name}">{UUID(n)}</UUID></TiffData>'
            for n, name in enumerate(named)
        )
        pixels = (
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            'SizeX="30" SizeY="20" SizeZ="4" SizeC="1" SizeT="1" PhysicalSizeX="0.01" '
            'PhysicalSizeY="0.01" PhysicalSizeZ="0.05">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image>'
        )
        if companion:
            pixels = f'<BinaryOnly MetadataFile="im.companion.ome" UUID="{UUID(9)}"/>'
        uuid = f' UUID="{UUID(z)}"' if own else ""
        space = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
        xml = f'<?xml version="1.0"?><OME {space}{uuid}>{pixels}</OME>'
        place = folder / NAMES[z].replace(".ome.tif", suffix or ".ome.tif")
        tifffile.imwrite(place, plane, description=xml.encode(), metadata=None)


def opened(url):
    return open_source(str(url), IngestOptions())


@pytest.mark.parametrize(
    "how",
    [
        {},  # ome/bioformats#1384, ome/bioformats#3262
        {"own": False},  # cgohlke/tifffile#54, #72: files without a UUID of their own
        {"suffix": ".tif"},  # renamed: the UUID still tells which file it is
        {"companion": True},  # ome/bioformats#2773, catalystneuro/roiextractors#611
    ],
)
def test_one_file_of_several_is_refused(tmp_path, how):
    """ome/bioformats#3732: partial filesets."""
    write(tmp_path, **how)
    name = f"im_Z0{how.get('suffix', '.ome.tif')}"
    with pytest.raises(IngestError, match=r"is one of \d files of an OME-TIFF") as caught:
        opened(tmp_path / name)
    pattern = str(caught.value).rpartition("pattern: ")[2]
    assert opened(pattern).shape == (1, 20, 30)


@pytest.mark.parametrize("how", [{}, {"own": False}])
def test_their_folder_is_the_volume(tmp_path, how):
    write(tmp_path, **how)
    source = opened(tmp_path)
    assert np.array_equal(source.read(whole_box(source.shape)), STACK)
    assert source.voxel_nm == pytest.approx((50, 10, 10))


def test_a_folder_without_one_of_them_is_refused(tmp_path):
    """ome/bioformats#3732: one file of the set was removed."""
    write(tmp_path)
    (tmp_path / NAMES[3]).unlink()
    with pytest.raises(IngestError, match=r"names 1 more files .* not there \(im_Z3\.ome\.tif\)"):
        opened(tmp_path)
    assert opened(f"{tmp_path}/im_Z*.tif").shape == (3, 20, 30)


def test_a_file_that_names_only_itself_may_be_renamed(tmp_path):
    """ome/bioformats#3062: the name in the metadata is an old one."""
    write(tmp_path, own=False, named=["before.ome.tif"])
    assert other_files(f"{tmp_path}/im_Z0.ome.tif") == ()
    write(tmp_path, own=True, named=["before.ome.tif"])
    assert other_files(f"{tmp_path}/im_Z0.ome.tif") == ()


@pytest.mark.parametrize("how", [{}, {"imagej": True}, {"ome": True}, {"bigtiff": True}])
def test_other_tiffs_name_none(tmp_path, how):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", **how)
    assert other_files(f"{tmp_path}/a.tif") == ()


def test_damage_is_left_to_the_reader(tmp_path):
    for content in (b"", b"II*\0", b"hello"):
        (tmp_path / "a.tif").write_bytes(content)
        assert other_files(f"{tmp_path}/a.tif") == ()
