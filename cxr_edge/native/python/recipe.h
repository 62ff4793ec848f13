// The parts of a recipe as Python hands them over, for every function of the extension that takes one.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include "cxr_edge.h"

namespace cxr_edge::python {

using CropBox = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;  // top, left, height, width
using Range = std::pair<int32_t, int32_t>;                           // first, last
using Map = std::pair<double, double>;                               // scale, offset

inline cxr_edge_recipe recipe_of(const CropBox &crop, Range window, std::optional<Range> padding, bool inverted,
                                 Map map) {
  cxr_edge_recipe recipe{};
  std::tie(recipe.crop_top, recipe.crop_left, recipe.crop_height, recipe.crop_width) = crop;
  std::tie(recipe.window_lo, recipe.window_hi) = window;
  recipe.has_padding = padding.has_value();
  if (padding) std::tie(recipe.padding_first, recipe.padding_last) = *padding;
  recipe.inverted = inverted;
  std::tie(recipe.scale, recipe.offset) = map;
  return recipe;
}

// Adds the functions of cxr_edge_cuda.h to the module.
void bind_cuda(nanobind::module_ &module);

}  // namespace cxr_edge::python
