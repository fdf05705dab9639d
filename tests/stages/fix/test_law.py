"""Random edits and undos give what plain numpy gives, for any blocks, engine and order of work."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import watershed
from tests.stages.fix.conftest import VOXEL_NM, blobs

from volproc.errors import ConfigError
from volproc.stages.edits.requests import EditRequest

SIZE = np.array(VOXEL_NM)


class Model:
    """The whole volume as an array after each edit that counts; edits are functions of arrays."""

    def __init__(self, base):
        self.base = base.astype(np.uint64)
        self.largest = int(base.max())
        self.edits = []
        self.states = [self.base]
        self.number = 0

    @property
    def now(self):
        return self.states[-1]

    def do(self, change):
        self.number += 1
        self.edits.append((self.number, change))
        self.states.append(change(self.now))

    def undo(self, number):
        at = [n for n, _ in self.edits].index(number)
        del self.edits[at]
        del self.states[at + 1 :]
        for _, change in self.edits[at:]:
            self.states.append(change(self.now))

    def new_ids(self, count):
        self.largest += count
        return [*range(self.largest - count + 1, self.largest + 1)]


def merge(ids):
    return lambda labels: np.where(np.isin(labels, ids), min(ids), labels)


def delete(ids):
    return lambda labels: np.where(np.isin(labels, ids), 0, labels)


def uphill(depth, place):
    """Voxels up to the deepest, each the first of the deepest neighbours of the one before."""
    steps = [(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    way = [tuple(map(int, place))]
    while True:
        around = [tuple(int(a) + b for a, b in zip(way[-1], step, strict=True)) for step in steps]
        best = max(around, key=lambda at: depth[at])
        if depth[best] <= depth[way[-1]]:
            return way
        way.append(best)


def split(identifier, parts, new_ids):
    def change(labels):
        mask = np.pad(labels == identifier, 1)
        depth = distance_transform_edt(mask, sampling=VOXEL_NM)
        starts = [[((np.array(p) / SIZE).astype(int) + 1) for p in part] for part in parts]
        ways = [{step for p in part for step in uphill(depth, p)} for part in starts]
        apart = sum(map(len, ways)) == len(set().union(*ways))
        seeds = np.zeros(mask.shape, np.int32)
        for n, part in enumerate(ways if apart else starts, start=1):
            for place in part:
                seeds[tuple(place)] = n
        found = watershed(-depth, seeds, connectivity=np.ones((3, 3, 3)), mask=mask)
        out = labels.copy()
        for n, one in enumerate(new_ids, start=2):
            out[found[1:-1, 1:-1, 1:-1] == n] = one
        return out

    return change


def paint(identifier, points, radius, over):
    def change(labels):
        centres = (np.argwhere(np.ones(labels.shape)) + 0.5) * SIZE
        mask = np.zeros(len(centres), bool)
        for a, b in zip(points, points[1:] or points, strict=False):
            a, leg = np.array(a), np.subtract(b, a)
            share = np.clip((centres - a) @ leg / ((leg @ leg) or 1), 0, 1)
            away = centres - a - share[:, None] * leg
            mask |= (away**2).sum(1) <= radius**2
        mask = mask.reshape(labels.shape)
        mask &= np.isin(labels, over) if over else True
        return np.where(mask, identifier, labels)

    return change


def centre(rng, labels, identifier):
    places = np.argwhere(labels == identifier)
    return tuple(((places[rng.integers(len(places))] + 0.5) * SIZE).tolist())


def random_edit(rng, model):
    """A request and what it is in numpy; None where the labels allow none of its kind."""
    now = model.now
    ids = np.unique(now[now > 0]).tolist()
    kind = rng.choice(["merge", "split", "split", "delete", "paint", "paint", "paint"])
    if kind in ("merge", "delete") and len(ids) < 6:
        return None
    if kind == "merge":
        chosen = rng.choice(ids, rng.integers(2, 4), replace=False).tolist()
        return EditRequest(do="merge", objects=chosen), lambda: merge(chosen)
    if kind == "delete":
        chosen = rng.choice(ids, 1).tolist()
        return EditRequest(do="delete", objects=chosen), lambda: delete(chosen)
    one = int(rng.choice(ids))
    if kind == "split":
        voxels = np.argwhere(now == one)
        count = int(rng.integers(2, 6))
        if len(voxels) < count:
            return None
        points = (voxels[rng.choice(len(voxels), count, replace=False)] + 0.5) * SIZE
        points = [tuple(p) for p in points.tolist()]
        parts = [points[:-1:2], points[1:-1:2], points[-1:]] if count > 3 else [[p] for p in points]
        request = EditRequest(do="split", objects=one, parts=parts)
        return request, lambda: split(one, parts, model.new_ids(len(parts) - 1))
    target = int(rng.choice([0, one]))
    points = [tuple(rng.uniform(0, np.array(now.shape) * SIZE).tolist())]
    points += [centre(rng, now, one)] * int(rng.integers(0, 2))
    radius = float(rng.uniform(30, 150))
    over = [0, one] if rng.random() < 0.2 else []
    request = EditRequest(do="paint", objects=target, points=points, radius_nm=radius, over=over)
    return request, lambda: paint(target, points, radius, over)


def refusal(action):
    """What an edit is refused with; "" where it is not."""
    try:
        action()
    except ConfigError as error:
        return str(error)
    return ""


def edit_once(rng, session, model):
    """Do or undo something at random, in both; refusals must be for a reason."""
    if model.edits and rng.random() < 0.3:
        number = rng.choice([n for n, _ in model.edits]) if rng.random() < 0.3 else 0
        if refused := refusal(lambda: session.undo(int(number))):
            assert "undo that first" in refused
        else:
            model.undo(int(number) or model.edits[-1][0])
        return
    wish = random_edit(rng, model)
    if wish is None:
        return
    request, change = wish
    if refused := refusal(lambda: session.append([request])):
        assert "changes no voxel" in refused
        assert (change()(model.now) == model.now).all()
        return
    model.do(change())
    edit = session.log.active[-1]
    assert edit.new_ids == tuple(range(model.largest - len(edit.new_ids) + 1, model.largest + 1))


SMALL = {"shape": (12, 20, 24), "squares": (9, 40)}
BLOCKS = {"edited": None, "flat": (4, 20, 24), "long": (12, 8, 16)}


@pytest.mark.timeout(1800)
def test_a_thousand_random_edits_and_undos(edited_run):
    base = blobs(seed=1, **SMALL)
    run, model = edited_run(base, cube=(8, 8, 8)), Model(base)
    session, rng = run.session, np.random.default_rng(7)
    done = 0
    for n in range(1000):
        before = (len(session.log.lines), model.number)
        edit_once(rng, session, model)
        done += (len(session.log.lines), model.number) != before
        if n % 40 == 39:
            name = rng.choice([*BLOCKS])
            run.fix(name=name, block=BLOCKS[name])
            assert (run.values(name) == model.now).all()
    assert done > 600
    for name, block in BLOCKS.items():
        run.fix(name=name, block=block)
        assert (run.values(name) == model.now).all()
    assert (run.values("objects") == base).all()
    assert run.session.log.active == session.log.active


@pytest.mark.dask
def test_workers_give_the_same(edited_run, dask_engine):
    base = blobs(seed=2, **SMALL)
    run, model = edited_run(base, cube=(8, 8, 8)), Model(base)
    session, rng = run.session, np.random.default_rng(3)
    for _ in range(3):
        for _ in range(15):
            edit_once(rng, session, model)
        run.fix(dask_engine)
        assert (run.values() == model.now).all()
