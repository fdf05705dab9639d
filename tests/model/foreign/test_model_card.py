import pytest
from hypothesis import given
from hypothesis import strategies as st

from volproc.errors import ModelError
from volproc.model.foreign.model_card import Description, Extent, with_card

EXTENT = st.builds(Extent, least=st.integers(1, 100), step=st.integers(1, 40))


@given(EXTENT, st.integers(1, 500))
def test_the_size_that_fits_is_the_least_allowed_one(extent, size):
    fit = extent.fit(size)
    assert fit >= size
    assert (fit - extent.least) % extent.step == 0
    assert fit == extent.least or fit - extent.step < size


def test_a_single_size_takes_nothing_larger():
    assert Extent(least=64).fit(3) == 64
    with pytest.raises(ModelError, match="takes 64 pixels, 65 were given"):
        Extent(least=64).fit(65)


def test_a_card_says_what_is_missing_and_overrides_what_is_there(tmp_path):
    card = tmp_path / "net.toml"
    card.write_text(
        'voxel_nm = [50, 10, 10]\nsize = 64\nhalo = 9\n[[preprocessing]]\nid = "scale_range"\n'
    )
    found = with_card(Description(name="net", halo=3, channel=1), card)
    assert (found.name, found.voxel_nm, found.halo, found.channel) == ("net", (50, 10, 10), 9, 1)
    assert found.size == Extent(least=64)
    assert found.preprocessing[0].id == "scale_range"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("voxel_nm = [50, 10]", r"net\.toml: voxel_nm\.2: Field required"),
        ("voxel = 50", r"net\.toml: unknown key voxel; known are name, voxel_nm, axes"),
        ('axes = "bcyq"', r"net\.toml: axes: .*letters of bczyx.*'bcyq'"),
        ('[[preprocessing]]\nid = "magic"', r"net\.toml: preprocessing\.0: .*'magic'"),
        ("voxel_nm = [50,", r"net\.toml is not TOML"),
        ("size = 0", r"net\.toml: size\.least: .*greater than or equal to 1"),
    ],
)
def test_a_card_that_is_wrong_is_named(tmp_path, text, message):
    card = tmp_path / "net.toml"
    card.write_text(text)
    with pytest.raises(ModelError, match=message):
        with_card(Description(), card)


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read the card .*none\.toml: No such file"):
        with_card(Description(), tmp_path / "none.toml")


def test_a_channel_is_a_number_or_one_of_the_names():
    assert Description(channel="nuclei", channels=("cells", "nuclei")).channel_of(2) == 1
    with pytest.raises(ModelError, match="no channel 'nucleus' among the model's: cells, nuclei"):
        _ = Description(channel="nucleus", channels=("cells", "nuclei")).channel_of(2)
