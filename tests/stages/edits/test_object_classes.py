import numpy as np

from volproc.stages.edits.object_classes import classes_in
from volproc.stages.objects.components import equal_values
from volproc.stages.objects.statistics import block_statistics

LABELS = np.array([[[1, 2, 2, 0, 3]]], np.uint32)


def objects():
    local, ids = equal_values(LABELS)
    return block_statistics(local, len(ids), origin=(0, 0, 0), shape=LABELS.shape), ids


def table(folder, text):
    (folder / "objects.csv").write_text(text)
    return classes_in(str(folder / "objects.csv"))


def test_an_object_that_the_table_lacks_is_of_no_class_and_of_value_0(tmp_path):
    valued, kind = table(tmp_path, "id,value\n1,7\n3,9\n").put_into(*objects())
    assert (valued.value.tolist(), kind) == ([7, 0, 9], "int64")
    classed, names = table(tmp_path, "id,class\n1,er\n3,golgi\n").put_into(*objects())
    assert [names[n - 1] for n in classed.value] == ["er", "", "golgi"]


def test_tables_without_them_and_no_table_say_nothing(tmp_path):
    assert classes_in(str(tmp_path / "none.csv")).column == ""
    same, kind = table(tmp_path, "id,voxels\n1,1\n").put_into(*objects())
    assert (same.value.tolist(), kind) == ([1, 1, 1], None)
