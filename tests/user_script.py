"""What a user may write, with every public function: checked by mypy --strict, not run."""

from pathlib import Path

import volproc
from volproc import ClusterOptions, IngestOptions, PredictOptions, Volume, array, labels

here = Path("data")
serial = ClusterOptions(kind="serial")
volproc.phantom(here / "cell.zarr", shape=[64, 512, 512], seed=3, progress=False)
image: Volume = volproc.ingest(here / "slices", here / "image.zarr", voxel_nm=(50, 10, 10))
volproc.ingest("EMPIAR-10094", "big.zarr", IngestOptions(keep=False), pattern=["*.dm4"])
assert [finding for finding in volproc.check(str(here / "image.zarr"))] == []
votes = here / "votes.zarr"
prediction = volproc.predict(image, here / "p.zarr", model="nuclei-50nm", votes=votes)
volproc.predict("i.zarr", "p.zarr", PredictOptions(axes="zy"), overwrite=True, cluster=serial)
found = volproc.label(prediction, here / "objects.zarr", min_volume_um3=1.25, image_grid=image)
print(found.objects, found.labels.info.voxel_nm, found.table, found.reasons)
nuclei = volproc.interior(prediction, here / "nuclei.zarr", gap_nm=600, axes="z")
numbers = volproc.measure(found.labels, here / "measure", image=image, votes=votes, meshes="ply")
print(numbers.objects, numbers.table)
scores = volproc.evaluate(prediction, here / "truth.zarr", out=here / "scores.json")
print(scores.rows())
manifest = volproc.subjects(image, here / "subjects", frames=5, format="png")
print(volproc.upload_subjects(manifest, project=1, subject_set="mine").subjects)
volproc.crowd(here / "truth.zarr", here / "crowd.csv", volunteers=7, crowd="typical")
drawn = volproc.annotate(here / "crowd.csv", None, here / "labels.zarr", method="cria")
print(drawn.scores)
card = volproc.train(images=["i.zarr"], labels=["l.zarr"], model_out=str(here / "model"))
print(card.name)
workflow = volproc.load_workflow("my.toml", flags=["predict.axes=zy"])
print(volproc.run(workflow, stages=["predict"]), volproc.plan("my.toml"), volproc.status("run"))
entry = volproc.plan_fetch("EMPIAR-10094", str(here), volproc.FetchOptions())
volproc.run_fetch(entry)
info = volproc.new_volume("new.zarr", shape=(8, 8, 8), voxel_nm=(50, 10, 10), dtype="uint8")
new = volproc.create_volume(info, step="mine", digest="1", version="1")
new.write(info.box, 0)
new.finish()
print(volproc.open_volume("new.zarr").read(volproc.Box((0, 0, 0), (4, 4, 4))))
print(labels.statistics("labels.zarr")["volume_um3"])
lazy = array.predict(image.dask(chunks=(64, 256, 256)), voxel_nm=image.voxel_nm, fusion="mean")
stored = volproc.store(lazy, here / "lazy.zarr", like=image, voxel_nm=(50, 50, 50))
volproc.store(array.label(stored, threshold=0.5), "ids.zarr", like=stored, kind="labels")
print(image[3, ::2].mean(), image.shape, image.levels[0].voxel_nm, array.constants(image))
