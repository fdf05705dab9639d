"""Which number of a file's name counts: whole or decimal, of several the right one."""

import pytest

from volproc.errors import IngestError
from volproc.stages.ingest.series.slice_numbers import filled_slices, number_names

ORDERED = {
    # soft-matter/pims#394, bluesky/tiled#555, linuxmint/nemo#2990: depths as decimal numbers
    "depths": [f"z={round(n * 0.05, 2)}um.tif" for n in range(12)],
    "whole ones between": ["z=0um.tif", "z=0.5um.tif", "z=1um.tif", "z=1.5um.tif", "z=2um.tif"],
    "commas": ["z0,1.tif", "z0,15.tif", "z0,2.tif", "z0,25.tif"],
    "over ten": [f"d{n / 2}nm.tif" for n in range(17, 24)],
    "another decimal number is constant": [f"s{n}_8.5nm.tif" for n in range(8, 12)],
    # diffractor/diffractor#197, mtli/HTML4Vision#9, jhotmann/node-rename-cli#233
    "without zeros": [f"43_{n}.tif" for n in (9, 10, 99, 100)],
    "mixed widths": ["s_08.tif", "s_9.tif", "s_010.tif"],
    # a point is no decimal point where the numbers count in order: 1.9, 1.10
    "versions": ["a1.8.tif", "a1.9.tif", "a1.10.tif", "a1.11.tif"],
    "dates": ["s2020.01.09.tif", "s2020.01.10.tif", "s2020.01.11.tif"],
    "points before numbers": ["s.001.tif", "s.002.tif", "s.003.tif"],
    # Kitware/dive#494: copies of a browser
    "in parentheses": ["img (1).tif", "img (2).tif", "img (10).tif"],
    "brackets": ["roi[1]_1.tif", "roi[1]_2.tif", "roi[1]_10.tif"],
}


@pytest.mark.parametrize("name", ORDERED)
def test_slices_come_in_the_order_of_their_numbers(name):
    names = ORDERED[name]
    assert list(number_names(sorted(names, reverse=True)).names) == names


def test_a_gap_of_decimal_numbers_is_told_in_their_own():
    names = [f"z={n}um.tif" for n in (0.0, 0.5, 1.0, 2.0)]
    with pytest.raises(
        IngestError, match=r"1 slices are missing before z=2\.0um\.tif .*number 1\.5"
    ):
        filled_slices(number_names(names), "refuse", where="s")


REFUSED = {
    "twice": (["s_1.tif", "s_01.tif"], r"two slices of number 1: .*; keep one of them"),
    # ome/bioformats and others: tiles, channels and times in one folder
    "tiles": (
        [f"t{t}_z{z}.tif" for t in (1, 2) for z in (1, 2, 3)],
        r"2 numbers differ .*none of them counts all slices .*several series, tiles or channels",
    ),
    "channels": ([f"s{z}_c{c}.tif" for z in (1, 2) for c in (0, 1)], "none of them counts"),
    "no numbers": (["a.tif", "b.tif"], "has no number"),
    "other words": (["a1.tif", "b2.tif"], "differ in more than numbers"),
    "a copy": (["s_1.tif", "s_2.tif", "s_2 - Copy.tif"], "differ in more than numbers"),
    "below zero": (["z=-1um.tif", "z=0um.tif", "z=1um.tif"], "differ in more than numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_order_that_is_not_plain_is_refused(name):
    names, message = REFUSED[name]
    with pytest.raises(IngestError, match=message) as caught:
        number_names(names)
    assert "keep one of them" not in str(caught.value) or name.startswith("twice")
