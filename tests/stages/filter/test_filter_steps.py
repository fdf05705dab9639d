import pytest

from volproc.errors import ConfigError
from volproc.stages.filter.filter_steps import FilterStep, parse_step
from volproc.stages.filter.options import FilterOptions


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("median 20", FilterStep("median", 20)),
        ("  gaussian   10 nm ", FilterStep("gaussian", 10)),
        ("gaussian 0.5um", FilterStep("gaussian", 500)),
        ("unsharp 30", FilterStep("unsharp", 30, amount=1)),
        ("unsharp 30nm amount=0.5", FilterStep("unsharp", 30, amount=0.5)),
        ("destripe 200", FilterStep("destripe", 200, length_nm=2000)),
        (
            "destripe 200 nm axis=x length=5um",
            FilterStep("destripe", 200, length_nm=5000, axis="x"),
        ),
    ],
)
def test_operations_in_words(text, step):
    found = parse_step(text)
    assert (found.name, found.size_nm, found.amount, found.axis) == (
        step.name,
        step.size_nm,
        step.amount,
        step.axis,
    )
    if step.name == "destripe":
        assert found.length_nm == step.length_nm
    assert parse_step(str(found)) == found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "'': no such operation; expected \"median WIDTH\""),
        ("median", "'median': no such operation; expected"),
        ("sharpen 20", "'sharpen 20': no such operation; expected"),
        ("Median 20", "no such operation"),
        ("median 0", "'0' is not a length above 0"),
        ("median -20", "'-20' is not a length above 0"),
        ("median inf", "'inf' is not a length above 0"),
        ("median 1e999", "'1e999' is not a length above 0"),
        ("median 1e16", "'1e16' is not a length above 0"),
        ("median nan", "'nan' is not a length above 0"),
        ("median 20px", "'20px' is not a length above 0"),
        ("median 20 30", "'20 30' is not a length above 0"),
        ("median 20 amount=2", "median has no 'amount'; expected"),
        ("unsharp 20 amount=0", "'0' is not a number above 0"),
        ("unsharp 20 amount=1nm", "'1nm' is not a number above 0"),
        ("destripe 20 axis=z", "stripes run along y or x of a slice, not 'z'"),
        ("destripe 20 length=0", "'0' is not a length above 0"),
    ],
)
def test_what_is_no_operation_is_refused_in_one_line(text, what):
    with pytest.raises(ConfigError) as refused:
        FilterOptions(steps=("median 20", text))
    assert "\n" not in str(refused.value)
    assert what in str(refused.value)


@pytest.mark.parametrize(("box", "kept"), [(512, "512"), ("0:5,:,:", "0:5,:,:"), ("", "")])
def test_a_box_may_be_a_number(box, kept):
    assert FilterOptions(box=box).box == kept


def test_a_wrong_box_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"^FilterOptions: box '5:1,:,:': along z it begins at"):
        FilterOptions(box="5:1,:,:")
