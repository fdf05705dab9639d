import json
import sys

import numpy as np
import pytest

from volproc.errors import ConfigError
from volproc.volume.ome_reader import opinion

pytest.importorskip("ome_zarr")


def test_an_image_and_labels_become_ome_zarrs_own_objects(save_volume, noise):
    image = save_volume("a.zarr", noise, voxel_nm=(50, 10, 20))
    labels = save_volume("a.zarr/labels/l", (noise > 100).astype(np.uint32), kind="labels")
    found = image.ome()
    assert type(found).__name__ == "OMEZarrMultiscale"
    assert found.images[0].scale == {"z": 50, "y": 10, "x": 20}
    assert found.images[0].axes_units == dict.fromkeys("zyx", "nanometer")
    assert np.array_equal(found.images[0].data.compute(scheduler="sync"), noise)
    assert type(labels.ome()).__name__ == "OMEZarrLabels"
    assert labels.ome().image_label.source.image == "../../"


def test_it_has_nothing_to_say_of_ours(save_volume, noise):
    image = save_volume("a.zarr", noise)
    labels = save_volume("l.zarr", (noise > 100).astype(np.uint32), kind="labels")
    assert opinion(image.info.url) == ()
    assert opinion(labels.info.url) == ()


def damaged(url, change):
    file = url / "zarr.json"
    content = json.loads(file.read_text())
    change(content["attributes"]["ome"])
    file.write_text(json.dumps(content))


def test_what_it_cannot_read_or_warns_of_is_told(save_volume, noise, tmp_path):
    save_volume("a.zarr", noise)
    damaged(tmp_path / "a.zarr", lambda ome: ome["multiscales"][0]["datasets"][0].update(path="9"))
    (said,) = opinion(str(tmp_path / "a.zarr"))
    assert said.startswith("KeyError")
    save_volume("l.zarr", (noise > 100).astype(np.uint32), kind="labels")
    damaged(tmp_path / "l.zarr", lambda ome: ome["image-label"].update(colors=[{"rgba": [1]}]))
    said = opinion(str(tmp_path / "l.zarr"))
    assert any("Invalid image-label metadata" in line for line in said)
    assert "does not take it for labels" in said


def test_without_the_package_one_line_says_what_to_install(save_volume, noise, monkeypatch):
    volume = save_volume("a.zarr", noise)
    monkeypatch.setitem(sys.modules, "ome_zarr", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[ome\]'"):
        volume.ome()
