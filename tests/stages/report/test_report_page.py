import pytest

from volproc.stages.report.report_page import Page, curve, render, toml_text, versions


def page(**more):
    empty = {
        "title": "A run",
        "figures": None,
        "views": (),
        "vote_axes": (),
        "agreements": {},
        "objects": None,
        "scores": None,
        "steps": (),
        "settings": {},
        "absent": (),
    }
    return Page(**{**empty, **more})


def test_what_users_wrote_is_escaped():
    bad = "<script>alert('x')</script>"
    html = render(page(title=bad, settings={"run": {"source": bad}}, absent=(bad,)))
    assert bad not in html
    assert html.count("&lt;script&gt;") == 4


def test_versions_are_those_of_the_libraries():
    import numpy

    found = versions()
    assert found["numpy"] == numpy.__version__
    assert {"volproc", "Python", "torch", "zarr", "dask"} <= set(found)


def test_settings_are_toml():
    import tomllib

    settings = {
        "top": 1.5,
        "predict": {
            "model": 'a "b"',
            "axes": "zyx",
            "tile": (1, 2, 3),
            "voxel_nm": None,
            "votes": True,
        },
        "label": {"more": {"a": 1}},
    }
    assert tomllib.loads(toml_text(settings)) == {
        "top": 1.5,
        "predict": {"model": 'a "b"', "axes": "zyx", "tile": [1, 2, 3], "votes": True},
        "label": {"more": {"a": 1}},
    }


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5], "M0.0 10.0h0"),
        ([1.0, 0.0], "M0.0 0.0h0 L100.0 20.0"),
        ([None, None], ""),
        ([1.0, None, None], "M0.0 0.0h0"),
    ],
)
def test_curves_leave_gaps(scores, expected):
    slices = [{"z": z, "dice": dice} for z, dice in enumerate(scores, start=5)]
    assert curve(slices, 100, 0, 20) == expected
