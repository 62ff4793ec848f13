// The convolution as tiles of output pixels by filters whose sums stay in registers, for any instruction set.
//
// An instruction set is a class `Isa` with
//   Sums, Input, Weights   types of one register (or two) of sums, of one group of an input pixel, of weights
//   vectors                how many Sums a panel of 16 filters has
//   panels                 how many panels a tile has when there are enough
//   start(bias, sums)      the sums' first values: bias (and what the kernel compensates)
//   input(p)               four codes, repeated
//   weights(p)             the weights of one Sums
//   add_products(...)      adds four products of codes and weights to each sum
//   store<...>(...)        sums to codes
#pragma once

#include <cstring>

#include "kernel.h"
#include "model_file.h"

#define CXR_EDGE_INLINE __attribute__((always_inline)) inline
#define CXR_EDGE_INLINE_LAMBDA __attribute__((always_inline))

namespace cxr_edge::engine {
namespace {

constexpr size_t group_bytes = size_t{panel_width} * group_products;

template <int value>
struct Index {
  static constexpr int k = value;
};

// body(Index<0>{}), body(Index<1>{}) … below `end`. A loop that the compiler unrolls late has kept its sums in memory by
// then: with indices that are constants from the start they never leave their registers.
template <int end, int begin = 0, class Body>
CXR_EDGE_INLINE void unroll(const Body &body) {
  if constexpr (begin < end) {
    body(Index<begin>{});
    unroll<end, begin + 1>(body);
  }
}

// Where a tile lies. Fourteen pixels may be seven of one row and seven of the next: rows of 7, 21, 35 … pixels would
// otherwise leave half a tile over.
struct TilePlace {
  const uint8_t *input;
  size_t half_step;  // from the first pixel to the one in the middle
  uint8_t *output;
  size_t output_half_step;
};

template <int pixels>
constexpr int half_of = pixels == 14 ? 7 : pixels;

// Window starts of a tile's pixels: one pointer for three pixels, because an x86 address can add one or two steps.
template <int pixels>
struct Windows {
  static constexpr int half = half_of<pixels>;
  static constexpr int pointers_in_half = (half + 2) / 3;
  static constexpr int pointers = pointers_in_half * (pixels / half);
  const uint8_t *start[pointers];
  size_t step;

  Windows(const TilePlace &place, size_t pixel_step) : step(pixel_step) {
    for (int k = 0; k < pointers; ++k) {
      start[k] = place.input + (k / pointers_in_half) * place.half_step + (k % pointers_in_half) * 3 * pixel_step;
    }
  }
  const uint8_t *at(int pixel) const {
    const int within = pixel % half;
    return start[pixel / half * pointers_in_half + within / 3] + within % 3 * step;
  }
  void advance(size_t bytes) {
    for (int k = 0; k < pointers; ++k) start[k] += bytes;
  }
};

template <class Isa, int pixels, int panels>
struct Tile {
  static constexpr int columns = panels * Isa::vectors;
  typename Isa::Sums sums[pixels][columns];

  CXR_EDGE_INLINE void start(const ConvolutionTask &task, uint32_t panel) {
    unroll<columns>([&](auto v) CXR_EDGE_INLINE_LAMBDA {
      const auto first = Isa::start(task, panel * panel_width + v.k * (panel_width / Isa::vectors));
      unroll<pixels>([&](auto p) CXR_EDGE_INLINE_LAMBDA { sums[p.k][v.k] = first; });
    });
  }
  // One group of every window, `at` bytes ahead.
  CXR_EDGE_INLINE void add_group(const Windows<pixels> &windows, const int8_t *const (&weights)[panels], size_t at,
                                 size_t weights_at) {
    typename Isa::Weights w[columns];
    unroll<columns>([&](auto v) CXR_EDGE_INLINE_LAMBDA {
      w[v.k] = Isa::weights(weights[v.k / Isa::vectors] + weights_at + v.k % Isa::vectors * (group_bytes / Isa::vectors));
    });
    unroll<pixels>([&](auto p) CXR_EDGE_INLINE_LAMBDA {
      const typename Isa::Input input = Isa::input(windows.at(p.k) + at);
      unroll<columns>([&](auto v) CXR_EDGE_INLINE_LAMBDA { Isa::add_products(sums[p.k][v.k], input, w[v.k]); });
    });
  }
};

template <class Isa, int pixels, int panels>
void convolve_tile(const ConvolutionTask &task, const TilePlace &place, uint32_t panel) {
  constexpr uint32_t unrolled = 4;
  const size_t panel_bytes = task.segments * task.segment_groups * group_bytes;
  const int8_t *weights[panels];
  for (int k = 0; k < panels; ++k) weights[k] = task.weights + (panel + k) * panel_bytes;
  Tile<Isa, pixels, panels> tile;
  tile.start(task, panel);
  Windows<pixels> windows(place, task.pixel_step);
  const size_t run_bytes = size_t{task.segment_groups} * group_products;
  for (uint32_t segment = 0; segment < task.segments; ++segment) {
    uint32_t left = task.segment_groups;
    for (; left >= unrolled; left -= unrolled) {
      for (uint32_t k = 0; k < unrolled; ++k) tile.add_group(windows, weights, k * group_products, k * group_bytes);
      windows.advance(unrolled * group_products);
      for (int k = 0; k < panels; ++k) weights[k] += unrolled * group_bytes;
    }
    for (; left > 0; --left) {
      tile.add_group(windows, weights, 0, 0);
      windows.advance(group_products);
      for (int k = 0; k < panels; ++k) weights[k] += group_bytes;
    }
    windows.advance(task.segment_step - run_bytes);
  }
  Isa::template store<pixels, panels>(tile.sums, task, place, panel * panel_width);
}

// Output of pixel `pixel` of a tile.
template <int pixels>
uint8_t *output_of(const TilePlace &place, size_t step, int pixel) {
  constexpr int half = half_of<pixels>;
  return place.output + (pixel / half) * place.output_half_step + (pixel % half) * step;
}

template <class Isa, int panels>
class Convolver {
 public:
  Convolver(const ConvolutionTask &task, uint32_t panel) : task_(task), panel_(panel) {}

  void run() const {
    uint32_t row = 0;
    const bool pairs = Isa::largest == 14 && task_.columns % 14 >= 7;
    for (; pairs && row + 1 < task_.rows; row += 2) {
      const uint32_t whole = task_.columns / 14 * 14;
      run_columns(row, 0, whole);
      run_columns(row + 1, 0, whole);
      tile<14>(row, whole, task_.row_step, task_.output_row_step);
      run_columns(row, whole + 7, task_.columns);
      run_columns(row + 1, whole + 7, task_.columns);
    }
    for (; row < task_.rows; ++row) run_columns(row, 0, task_.columns);
  }

 private:
  template <int pixels>
  void tile(uint32_t row, uint32_t column, size_t half_step, size_t output_half_step) const {
    const size_t offset = row * task_.output_row_step + column * task_.output_pixel_step + panel_ * panel_width;
    const TilePlace place{task_.input + row * task_.row_step + column * task_.pixel_step, half_step,
                          task_.output + offset, output_half_step};
    convolve_tile<Isa, pixels, panels>(task_, place, panel_);
  }
  template <int pixels>
  uint32_t run_tiles(uint32_t row, uint32_t column, uint32_t end) const {
    if constexpr (pixels <= Isa::largest) {
      for (; column + pixels <= end; column += pixels) {
        tile<pixels>(row, column, half_of<pixels> * task_.pixel_step, half_of<pixels> * task_.output_pixel_step);
      }
    }
    return column;
  }
  void run_columns(uint32_t row, uint32_t column, uint32_t end) const {
    column = run_tiles<14>(row, column, end);
    column = run_tiles<7>(row, column, end);
    column = run_tiles<6>(row, column, end);
    column = run_tiles<4>(row, column, end);
    column = run_tiles<2>(row, column, end);
    run_tiles<1>(row, column, end);
  }

  const ConvolutionTask &task_;
  const uint32_t panel_;
};

template <class Isa>
void convolve(const ConvolutionTask &task) {
  uint32_t panel = 0;
  for (; panel + Isa::panels <= task.panels; panel += Isa::panels) Convolver<Isa, Isa::panels>(task, panel).run();
  if constexpr (Isa::panels > 1) {
    for (; panel < task.panels; ++panel) Convolver<Isa, 1>(task, panel).run();
  }
}

}  // namespace
}  // namespace cxr_edge::engine
