from __future__ import annotations

import pytest

from cxr_edge.errors import UsageError
from cxr_edge.preprocess.spec import VARIANTS
from training.reproduce.cells import HEADS, STARTS, TUNES, Cell, grid, spec_of


def test_the_grid_has_every_combination_and_the_quick_cells_first() -> None:
    cells = grid(VARIANTS, ("all", "head"), HEADS, STARTS)
    assert len(set(cells)) == len(cells) == len(VARIANTS) * len(TUNES) * len(HEADS) * len(STARTS)
    assert [cell.tune for cell in cells] == sorted((cell.tune for cell in cells), reverse=True)


def test_a_name_is_read_as_the_cell_that_it_names() -> None:
    for cell in grid(VARIANTS, TUNES, HEADS, STARTS):
        assert Cell.parse(cell.name) == cell


@pytest.mark.parametrize(
    "name", ["full", "full:all:linear", "full:all:linear:none:0", "half:all:linear:none", "full:all:x:none"]
)
def test_names_of_no_cell_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="names no cell|is unknown; choose from"):
        Cell.parse(name)


@pytest.mark.parametrize("variants", [(), ("full", "full"), ("thorax",)])
def test_lists_that_make_no_grid_are_refused(variants: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"--variants|variant 'thorax'"):
        grid(variants, TUNES, HEADS, STARTS)


def test_images_without_lungs_stay_in_the_study() -> None:
    assert {spec_of(variant, 64).not_found for variant in ("lungs", "lungs-masked")} == {"body"}
    assert all((spec_of(v, 64).variant, spec_of(v, 64).height) == (v, 64) for v in VARIANTS)
