"""Random numbers: one stream per kind and patch, changes as often as asked for."""

from volproc.stages.train.augmentation.streams import Streams


def test_changes_are_as_frequent_as_asked_for():
    streams = Streams(seed=1, step=2, first=0, count=2000)
    assert not streams("blur", 0)
    assert len(streams("blur", 1)) == 2000
    assert 550 < len(streams("blur", 0.3)) < 650


def test_kinds_are_independent():
    streams = Streams(seed=1, step=2, first=0, count=2000)
    both = streams("blur", 0.5).keys() & streams("noise", 0.5).keys()
    assert 430 < len(both) < 570


def test_a_higher_probability_changes_the_same_patches_and_more():
    streams = Streams(seed=1, step=2, first=0, count=200)
    assert streams("blur", 0.2).keys() < streams("blur", 0.6).keys()
