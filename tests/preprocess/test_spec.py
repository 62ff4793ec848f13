"""The spec as data: what old manifests say stays readable, and what they say is still written the same."""

from __future__ import annotations

from typing import Any

import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.errors import BundleError
from cxr_edge.preprocess import PreprocessSpec

OLD = {"height": 224, "width": 224, "mean": 0.5, "std": 0.5, "variant": "full"}


def test_a_spec_of_the_first_bundles_is_read_and_written_as_it_was() -> None:
    spec = PreprocessSpec.from_json(OLD)
    assert spec == PreprocessSpec()
    assert list(spec.to_json().items()) == list(OLD.items())
    assert open_bundle().manifest.preprocess.to_json().keys() == OLD.keys()


@pytest.mark.parametrize(
    "fields",
    [
        {"variant": "body"},
        {"contrast": "equalised"},
        {"contrast": "clahe"},
        {"variant": "lungs", "margin": 12, "not_found": "body"},
        {"variant": "lungs-masked", "outside": 0.5, "contrast": "equalised"},
        {"variant": "lungs", "contrast": "clahe"},
    ],
)
def test_every_variant_comes_back_from_json_as_it_was(fields: dict[str, Any]) -> None:
    spec = PreprocessSpec(**fields)
    assert PreprocessSpec.from_json(spec.to_json()) == spec
    assert fields.items() <= spec.to_json().items()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "heart"}, "variant 'heart' is unknown"),
        ({"variant": "lungs", "not_found": "guess"}, "not_found 'guess' is unknown"),
        ({"contrast": "retinex"}, "contrast 'retinex' is unknown to this version; it knows none, equalised, clahe"),
        ({"variant": "lungs", "margin": 2.5}, "margin 2.5 is no whole number"),
        ({"variant": "lungs", "margin": 101}, "margin 101"),
        ({"variant": "lungs", "margin": True}, "margin True"),
        ({"variant": "lungs-masked", "outside": -0.1}, "outside -0.1 is no display value"),
        ({"variant": "lungs-masked", "outside": float("nan")}, "outside nan"),
        ({"variant": "body", "margin": 5}, "margin means nothing to variant 'body'"),
        ({"variant": "lungs", "outside": 0.5}, "outside means nothing to variant 'lungs'"),
        ({"not_found": "body"}, "not_found means nothing to variant 'full'"),
        ({"sharpen": 1}, "cannot be read by this version"),
    ],
)
def test_what_a_spec_cannot_mean_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        PreprocessSpec.from_json({**OLD, **fields})
