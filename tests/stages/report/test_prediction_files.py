import json
from dataclasses import asdict

import numpy as np
import pytest

from volproc.errors import VolumeError
from volproc.stages.predict.seam_certificate import certificate_of
from volproc.stages.report.prediction_files import (
    MAX_REGIONS,
    SHOWN,
    SHOWN_OF_GPUS,
    read_certificate,
    read_regions,
)

RECORDS = [
    {"kind": kind, "start": [4, 8, n], "largest": n, "sum": 10 * n, "votes": 300}
    | {"written_largest": 5 * n}
    | {"changed": n, "voxels": 100}
    for n, kind in enumerate(("border", "elsewhere", "skipped"))
]


@pytest.fixture
def prediction(save_volume):
    return save_volume("p.zarr", np.zeros((16, 16, 16), np.uint8))


def test_a_certificate_is_read_as_predict_writes_it(prediction):
    made = certificate_of(RECORDS, tolerance=1, written_tolerance=4, halo="exact")
    certificate = asdict(made)
    digest = prediction.info.provenance["digest"]
    found = read_certificate(json.dumps({"digest": digest, **certificate}), prediction, name="c")
    keys = (*SHOWN, *SHOWN_OF_GPUS)
    assert found == {key: json.loads(json.dumps(certificate))[key] for key in keys}
    assert (found["written_largest"], found["written_tolerance"]) == (5, 4)
    assert (found["places"], found["borders"], found["skipped"]) == (3, 1, 1)
    assert (found["largest"], found["worst"]) == (1, [4, 8, 1])
    assert (found["mean"], found["changed"]) == (10 / 600, 1 / 200)
    assert found["skipped_changed"] == 2 / 100
    assert found["passed"] is False  # something was lost in a skipped block


def test_a_certificate_of_before_says_nothing_of_16_bits(prediction):
    certificate = asdict(certificate_of(RECORDS, tolerance=1, halo="exact"))
    old = {key: value for key, value in certificate.items() if key not in SHOWN_OF_GPUS}
    text = json.dumps({"digest": prediction.info.provenance["digest"], **old})
    found = read_certificate(text, prediction, name="c")
    assert {found[key] for key in SHOWN_OF_GPUS} == {None}


def test_the_certificate_of_another_prediction_is_not_shown(prediction):
    certificate = asdict(certificate_of(RECORDS, tolerance=1, halo="exact"))
    text = json.dumps({"digest": "another", **certificate})
    assert read_certificate(text, prediction, name="c") is None
    assert read_certificate("", prediction, name="c") is None
    assert read_certificate(text, None, name="c") is None


@pytest.mark.parametrize("text", ["no json", "[1]", "{}"])
def test_what_is_no_certificate_is_refused(prediction, text):
    with pytest.raises(VolumeError, match=r"c\.json is not what `volproc predict` writes"):
        read_certificate(text, prediction, name="c.json")


def test_the_first_regions_are_read():
    rows = [f"{n},0,{n},2,4,5,6,0.5,0.25" for n in range(1, 30)]
    text = "\n".join(["rank,z,y,x,depth,height,width,disagreement,split", *rows])
    found = read_regions(text, name="r")
    assert len(found) == MAX_REGIONS
    assert found[0].start == (0, 1, 2)
    assert found[0].shape == (4, 5, 6)
    assert (found[0].disagreement, found[0].split) == (0.5, 0.25)
    assert read_regions("", name="r") == ()
    with pytest.raises(VolumeError, match=r"r\.csv is not what"):
        read_regions("a,b\n1,2\n", name="r.csv")
