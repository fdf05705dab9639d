import pytest

from volproc.grid.scale import parse_voxel_nm
from volproc.stages.empty_result import Search, empty_result_reason, search_in

VOXEL = parse_voxel_nm((50, 50, 50))
MODEL = {
    "name": "nuclei-50nm",
    "classes": ["nucleus"],
    "voxel_nm": [50, 50, 50],
    "image_voxel_nm": [10, 4, 4],
}
ASKED = (
    "nuclei-50nm marks nucleus at voxels of 50 x 50 x 50 nm: does the image show that, and is its "
    "voxel size of 10 x 4 x 4 nm right?"
)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"else_": "no voxel reaches 0.5"}, "no voxel reaches 0.5"),
        ({"values": (0, 0), "model": MODEL}, f"the prediction is 0 everywhere; {ASKED}"),
        (
            {"values": (0, 0), "flat_image": 7},
            "the image has the same grey value, 7, everywhere but in single voxels: check its "
            "source",
        ),
        ({"values": (0.2, 0.2)}, "the prediction is 0.2 everywhere"),
        (
            {"values": (0, 0.314159), "threshold": 0.5, "model": MODEL},
            f"the largest probability is 0.314, below the threshold of 0.5; {ASKED}",
        ),
        (
            {"values": (0, 0.9), "threshold": 0.5, "else_": "it encloses nothing"},
            "it encloses nothing",
        ),
        (
            {"dropped": {"border": 1200, "min_elongation": 0}, "values": (0, 1)},
            "all 1,200 found were dropped (1,200 by border)",
        ),
        (
            {"dropped": {"min_volume_um3": 10, "border": 2}, "largest_dropped_um3": 0.3},
            "all 12 found were dropped (10 by min_volume_um3, 2 by border, the largest "
            "of 0.3 um³); is the voxel size of 50 x 50 x 50 nm right?",
        ),
        ({"dropped": {"border": 1}}, "the only one found was dropped (1 by border)"),
        (
            {"field_um3": 0.4, "min_volume_um3": 1.25, "else_": "nothing is there"},
            "nothing is there; the field of 0.4 um³ is smaller than one object of min_volume_um3 = "
            "1.25; is the voxel size of 50 x 50 x 50 nm right?",
        ),
        (
            {"values": (0, 0), "model": {**MODEL, "classes": []}},
            "the prediction is 0 everywhere; " + ASKED.replace("nucleus", "its objects"),
        ),
    ],
)
def test_the_reasons_fit_what_is_known(facts, said):
    search = Search(**{"field_um3": 100.0, "voxel_nm": VOXEL, **facts})
    assert empty_result_reason(search) == f"no objects: {said}"


def test_a_volume_tells_what_it_knows(save_volume):
    import numpy as np

    info = save_volume("p.zarr", np.zeros((10, 20, 40), np.uint8)).info
    assert search_in(info) == Search(pytest.approx(1.0), VOXEL)
    info = info.with_provenance(values=[0, 51], model=MODEL)
    found = search_in(info, threshold=0.5)
    assert (found.values, found.model, found.threshold) == ((0.0, 0.2), MODEL, 0.5)
