from __future__ import annotations

import pytest

from cxr_edge.errors import UsageError
from export.int8 import Int8Options
from export.study.schemes import chosen_schemes, schemes


def test_names_are_unique_and_every_table_has_schemes() -> None:
    every = schemes(64, (32, 400))
    assert len({scheme.name for scheme in every}) == len(every)
    assert {scheme.table for scheme in every} == {"schemes", "options", "images", "half"}
    assert {scheme.range_images for scheme in every} == {0, 32, 64, 400}


def test_the_default_options_are_marked_once_among_the_steps() -> None:
    marked = [scheme for scheme in schemes(64) if scheme.title.startswith("**")]
    assert len(marked) == 1
    rounding = {"nearest": "nearest-bias", "scale-search": "scale-search", "output-error": "output-error"}
    layout = {"conv-inputs": "conv", "all-int8": "all"}
    shipped = Int8Options()
    assert marked[0].name == f"{layout[shipped.layout]}-{rounding[shipped.rounding]}"


def test_only_the_schemes_asked_for_are_chosen_in_the_order_of_the_table() -> None:
    every = schemes(64)
    assert [scheme.name for scheme in chosen_schemes(every, ["nncf", "fp16"])] == ["fp16", "nncf"]
    assert chosen_schemes(every, []) == every


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'int9' is unknown; known are fp16"):
        chosen_schemes(schemes(64), ["int9"])
