"""Recipes: what a result depends on, and how two of them differ."""

import json
from dataclasses import replace

import pytest

from volproc.engine.recipe import Recipe, difference

RECIPE = Recipe(
    "label",
    3,
    {"mask": "aa"},
    {"connectivity": 26, "largest": 0},
    {"block": (64, 64, 64)},
    {"mask": "/data/mask.zarr"},
)


def test_a_recipe_survives_json_and_equal_recipes_have_one_digest():
    told = json.loads(json.dumps(RECIPE.record()))
    assert not difference(told, RECIPE)
    assert replace(RECIPE, options={"largest": 0, "connectivity": 26}).digest == RECIPE.digest


def test_where_inputs_lie_is_in_no_digest():
    moved = replace(RECIPE, places={"mask": "/elsewhere/mask.zarr"})
    assert moved.digest == RECIPE.digest
    assert not difference(RECIPE.record(), moved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": 4}, "the algorithm of label was improved"),
        ({"inputs": {"mask": "bb"}}, "its mask changed"),
        ({"options": {"connectivity": 6, "largest": 0}}, "connectivity: 26 -> 6"),
        ({"options": {"connectivity": 26}}, "largest: 0 -> None"),
        ({"cutting": {"block": (32, 64, 64)}}, "it is cut into other blocks, shards or chunks"),
        (
            {"inputs": {"mask": "bb"}, "places": {"mask": "/data/other.zarr"}},
            "its mask: /data/mask.zarr -> /data/other.zarr",
        ),
    ],
)
def test_every_part_counts_and_is_told(change, words):
    other = replace(RECIPE, **change)
    assert other.digest != RECIPE.digest
    assert str(difference(RECIPE.record(), other)) == words


def test_only_an_edited_input_in_its_place_counts_as_edited():
    edited = replace(RECIPE, inputs={"mask": "bb"})
    assert difference(RECIPE.record(), edited).edited
    assert not difference(RECIPE.record(), replace(edited, algorithm=4)).edited
    moved = replace(edited, places={"mask": "/data/other.zarr"})
    assert not difference(RECIPE.record(), moved).edited


def test_a_record_without_a_recipe_is_unknown():
    found = difference({}, RECIPE)
    assert found.unknown
    assert "an older volproc made it" in str(found)
