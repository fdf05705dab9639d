import pytest

from volproc.grid.axes import AxesError, places_of

READ = [
    ("zyx", (6, 40, 50), (0, 1, 2), "the usual order"),
    ("xyz", (50, 40, 6), (2, 1, 0), "ilastik/ilastik#1863"),
    ("XYZ", (50, 40, 6), (2, 1, 0), "AllenCell/vole-core#352: capitals"),
    ("txyzc", (1, 50, 40, 6, 1), (3, 2, 1), "ilastik/ilastik4ij#22, ilastik/volumina#200"),
    ("zyxc", (6, 40, 50, 1), (0, 1, 2), "ilastik/ilastik#1845: singleton axes"),
    (["x", "y", "z"], (50, 40, 6), (2, 1, 0), "khanlab/zarrnii#117"),
    (["space-z", "space-y", "space-x"], (6, 40, 50), (0, 1, 2), "names with their type"),
    (["Section", "Row", "Column"], (6, 40, 50), (0, 1, 2), "words"),
    (["dim_0", "dim_1", "dim_2"], (6, 40, 50), (0, 1, 2), "xarray's names say nothing"),
    (["", "", ""], (6, 40, 50), (0, 1, 2), "HDF5's labels where none is set"),
    (None, (1, 6, 40, 50), (1, 2, 3), "no names; one of one voxel"),
    (None, (6, 40, 50, 1), (0, 1, 2), "no names; a channel axis at the end"),
    ("yx", (40, 50), (None, 0, 1), "a plane"),
    ("xy", (50, 40), (None, 1, 0), "a plane, transposed (ilastik/ilastik#1863)"),
    ("zcyx", (6, 1, 40, 50), (0, 2, 3), "ImageJ's order"),
]


@pytest.mark.parametrize(
    ("words", "shape", "space", "report"), READ, ids=[f"{r[0]}-{len(r[1])}" for r in READ]
)
def test_axes_are_found_by_their_names(words, shape, space, report):
    found = places_of(shape, words)
    assert found.space == space, report
    assert found.of_space(shape)[1:] == (40, 50)


REFUSED = [
    ("yxc", (40, 50, 3), r"3 channels; choose one with --channel", "ilastik/ilastik#1863"),
    ("tyx", (6, 40, 50), r"6 times; .* --axes zyx", "ilastik/ilastik#2688: times are no slices"),
    ("zyy", (6, 40, 50), r"each once: .* --axes", "one name twice"),
    ("zy", (6, 40, 50), r"names for 2: .* --axes", "ilastik/ilastik#1845: names for other axes"),
    (["a", "b", "x"], (6, 40, 50), r"each once: .* --axes", "a name alone"),
    (["q", "y", "x"], (6, 40, 50), r"an axis 'q'; .* --axes", "an axis of no known name"),
    (None, (2, 6, 40, 50), r"--axes czyx", "four axes without names"),
    (None, (50,), r"expected z, y, x", "one axis"),
]


@pytest.mark.parametrize(("words", "shape", "said", "report"), REFUSED)
def test_axes_that_cannot_be_told_are_refused_with_the_option(words, shape, said, report):
    with pytest.raises(AxesError, match=said):
        places_of(shape, words)


def test_one_of_several_channels_is_taken():
    assert places_of((40, 50, 3), "yxc", channel=2).fixed == (0, 0, 2)
    with pytest.raises(AxesError, match="3 channels"):
        places_of((40, 50, 3), "yxc", channel=3)
