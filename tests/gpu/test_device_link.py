from concurrent.futures import ThreadPoolExecutor
from math import prod
from threading import Lock

import numpy as np
import pytest
import torch

from volproc.errors import ModelError
from volproc.grid.box import Box
from volproc.stages.inference.batches import (
    BatchLimit,
    in_batches,
)
from volproc.stages.inference.device_link import (
    free_bytes,
    link_to,
)
from volproc.stages.inference.tiling import Tile

pytestmark = pytest.mark.gpu

SIDE = 64


def tiles(count):
    boxes = [Box((n, 0, 0), (n + 1, SIDE, SIDE)) for n in range(count)]
    return [Tile("z", box, box) for box in boxes]


def taking(bytes_per_pixel, answered):
    """Answers passes; takes so much of the GPU's memory for each of their pixels."""

    def answer(some):
        pixels = sum(prod(one.window.shape) for one in some)
        torch.empty(int(pixels * bytes_per_pixel), dtype=torch.uint8, device="cuda")
        answered.extend(some)

    return answer


def test_calls_are_halved_until_they_fit_when_the_memory_truly_runs_out():
    torch.cuda.empty_cache()
    fits = 3.5 * SIDE**2  # pixels at once
    wanted, answered = tiles(16), []
    limit = BatchLimit(tiles=16, pixels=16 * SIDE**2, device="cuda")
    in_batches(wanted, taking(free_bytes() / fits, answered), limit=limit, halo=8, stride=4)
    assert answered == wanted
    assert limit.pixels == 2 * SIDE**2  # of 16, 8, 4, 2
    assert torch.cuda.memory_allocated() < free_bytes()


def test_a_tile_is_halved_where_a_single_one_is_too_much():
    torch.cuda.empty_cache()
    answered = []
    limit = BatchLimit(tiles=1, pixels=SIDE**2, device="cuda")
    too_much = taking(1.2 * free_bytes() / SIDE**2, answered)
    in_batches(tiles(1), too_much, limit=limit, halo=4, stride=4)
    assert sum(prod(one.output.shape) for one in answered) == SIDE**2
    assert len(answered) > 1


def test_what_never_fits_is_refused_in_one_line():
    limit = BatchLimit(tiles=1, pixels=SIDE**2, device="cuda")
    with pytest.raises(ModelError):
        in_batches(tiles(1), taking(1e12, []), limit=limit, halo=4, stride=4)


def test_threads_that_share_the_way_to_the_gpu_get_their_own_voxels_back():
    link, device = link_to("cuda"), Lock()

    def there_and_back(n):
        values = np.random.default_rng(n).integers(0, 255, (5 + n, 300, 301), dtype=np.uint8)
        coming = link.to_device(values)
        with device:
            going = link.to_host(255 - coming())
        return np.array_equal(going(), 255 - values)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(there_and_back, range(40)))
