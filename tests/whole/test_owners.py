"""Two commands on one output: one is right, the other is refused, whenever it comes."""

import numpy as np
import pytest

from volproc import (
    ClusterOptions,
    LabelOptions,
    label,
)
from volproc.errors import LeaseError

SERIAL = ClusterOptions(kind="serial")
LABEL = ("label", "mask.zarr", "run/out.zarr", "--serial", "--quiet")
OFFSETS = 20


@pytest.fixture
def masks(tmp_path, save_volume):
    """Two masks, the truth of each, and the options that make many blocks of them."""
    made = {}
    for seed in (1, 2):
        mask = (np.random.default_rng(seed).random((32, 32, 32)) < 0.02).astype("uint8")
        save_volume(f"mask-{seed}.zarr", mask, kind="labels")
        made[seed] = mask > 0
    return made, LabelOptions(block=(16, 16, 16), connectivity=26, min_volume_um3=0)


def test_at_any_moment_a_second_client_is_refused_and_the_first_is_right(tmp_path, masks):
    truth, options = masks
    refused = []

    def another(event):
        with pytest.raises(LeaseError, match=r"out.zarr is being written by .*since") as told:
            label(f"{tmp_path}/mask-2.zarr", f"{tmp_path}/out.zarr", options, cluster=SERIAL)
        refused.append((event, str(told.value)))

    found = label(
        f"{tmp_path}/mask-1.zarr",
        f"{tmp_path}/out.zarr",
        options,
        cluster=SERIAL,
        watchers=[another],
    )
    assert len(refused) >= OFFSETS
    assert ((found.labels.read(found.labels.info.box) > 0) == truth[1]).all()
    other = label(f"{tmp_path}/mask-2.zarr", f"{tmp_path}/other.zarr", options, cluster=SERIAL)
    assert ((other.labels.read(other.labels.info.box) > 0) == truth[2]).all()
