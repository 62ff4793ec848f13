from __future__ import annotations

import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.errors import UsageError
from export.study.schemes import SHIPPED_ROUNDING, chosen_schemes, schemes


def test_names_are_unique_and_every_table_has_schemes() -> None:
    every = schemes(64, (32, 400))
    assert len({scheme.name for scheme in every}) == len(every)
    assert {scheme.table for scheme in every} == {"schemes", "options", "images", "half"}
    assert {scheme.range_images for scheme in every} == {0, 32, 64, 400}


def test_what_the_default_bundle_holds_is_marked_and_alone() -> None:
    marked = [scheme for scheme in schemes(64) if scheme.title.startswith("**")]
    assert [scheme.name for scheme in marked] == ["shipped-int8-fp16", "shipped"]
    assert all(SHIPPED_ROUNDING in scheme.title for scheme in marked)
    assert open_bundle().manifest.evidence["precisions"]["int8"]["rounding"] == SHIPPED_ROUNDING


def test_only_the_schemes_asked_for_are_chosen_in_the_order_of_the_table() -> None:
    every = schemes(64)
    assert [scheme.name for scheme in chosen_schemes(every, ["nncf", "fp16"])] == ["fp16", "nncf"]
    assert chosen_schemes(every, []) == every


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'int9' is unknown; known are fp16"):
        chosen_schemes(schemes(64), ["int9"])
