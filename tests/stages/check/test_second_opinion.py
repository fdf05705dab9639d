import json

import pytest

from volproc.stages.check.stage import plan_check

pytest.importorskip("ome_zarr")


def test_it_is_asked_of_every_image_only_if_wanted(save_volume, noise, tmp_path):
    image = save_volume("a.zarr", noise)
    save_volume("a.zarr/labels/l", (noise > 100).astype("uint32"), kind="labels")
    assert plan_check(image.info.url, depth="fast", ask_ome_zarr=True).structure == ()
    file = tmp_path / "a.zarr/labels/l/zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["ome"]["image-label"]["colors"] = [{"rgba": [1]}]
    file.write_text(json.dumps(content))
    assert not any("ome-zarr:" in str(one) for one in plan_check(image.info.url).structure)
    found = plan_check(image.info.url, depth="fast", ask_ome_zarr=True).structure
    told = [one for one in found if one.what.startswith("ome-zarr:")]
    assert {one.severity for one in told} == {"error"}
    assert f"{image.info.url}/labels/l" in {one.where for one in told}
