// The GPU kernel's program, executed on the host: every block and thread of every launch, over the device functions
// that nvcc compiles, gives the bits of the CPU implementation. What this cannot show is how a GPU runs it (docs/gpu.md).
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "arguments.h"
#include "check.h"
#include "cxr_edge.h"
#include "tile_program.h"

namespace {

using namespace cxr_edge;

std::mt19937_64 random_bits(20261123);

int64_t draw(int64_t first, int64_t last) { return std::uniform_int_distribution<int64_t>(first, last)(random_bits); }

bool one_in(int64_t chances) { return draw(1, chances) == 1; }

// Mostly small, up to `most`: the logarithm is uniform.
uint32_t draw_side(double most) {
  return static_cast<uint32_t>(std::exp2(std::uniform_real_distribution<>(0, std::log2(most + 1))(random_bits)));
}

// Memory whose last byte has an unreadable page behind it, and whose first has one before it: a kernel that reads
// outside the frame ends the test.
class GuardedMemory {
 public:
  static constexpr size_t page = 65536, capacity = 64u << 20;

  GuardedMemory() : whole_(map(capacity + 2 * page)) {
    if (mprotect(whole_ + page, capacity, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  ~GuardedMemory() { munmap(whole_, capacity + 2 * page); }
  GuardedMemory(const GuardedMemory &) = delete;
  GuardedMemory &operator=(const GuardedMemory &) = delete;

  unsigned char *ending_with(size_t bytes) { return whole_ + page + capacity - bytes; }
  unsigned char *begin() { return whole_ + page; }

 private:
  static unsigned char *map(size_t bytes) {
    void *memory = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<unsigned char *>(memory);
  }

  unsigned char *whole_;
};

// A block's threads, one after the other between two barriers, in an order that changes from block to block: where
// threads of one step depended on each other, some order would show it.
class EmulatedThreads {
 public:
  EmulatedThreads() {
    std::iota(order_.begin(), order_.end(), 0u);
    if (one_in(2)) std::reverse(order_.begin(), order_.end());
    if (one_in(2)) std::shuffle(order_.begin(), order_.end(), random_bits);
  }

  template <class Step>
  void each(const Step &step) const {
    for (const uint32_t thread : order_) step(thread);
  }

 private:
  std::array<uint32_t, block_threads> order_;
};

// The grid, as launch.cu lays it out. Shared memory starts with other values in each block.
struct EmulatedLaunch {
  template <class Program>
  uint64_t run(const TileJob &job) const {
    typename Program::Shared shared;
    for (uint32_t row = 0; row < job.out_height; ++row) {
      for (uint32_t tile = 0; tile < job.tiles; ++tile) {
        std::memset(&shared, static_cast<int>(0xA5 + row + tile), sizeof shared);
        Program::run(job, tile, row, shared, EmulatedThreads());
      }
    }
    return uint64_t{job.out_height} * job.tiles;
  }
};

struct Output {
  uint32_t height, width;
};

void fill(unsigned char *pixels, size_t bytes, bool saturated) {
  for (size_t k = 0; k < bytes; k += sizeof(uint64_t)) {
    const uint64_t bits = saturated ? UINT64_MAX : random_bits();
    std::memcpy(pixels + k, &bits, std::min(sizeof bits, bytes - k));
  }
}

cxr_edge_frame random_frame(GuardedMemory &memory, uint32_t height, uint32_t width) {
  cxr_edge_frame frame{};
  frame.pixel_type = static_cast<int32_t>(draw(CXR_EDGE_UINT8, CXR_EDGE_INT16));
  const size_t size = bytes_per_pixel(frame.pixel_type);
  frame.height = height;
  frame.width = width;
  frame.row_stride = width * size;
  if (one_in(2)) frame.row_stride = (frame.row_stride + 15) / 16 * 16;
  if (one_in(4)) frame.row_stride += static_cast<size_t>(draw(0, 9)) * size;
  const size_t bytes = frame.row_stride * height;
  unsigned char *pixels = one_in(2) ? memory.ending_with(bytes) : memory.begin() + (one_in(2) ? 0 : draw(0, 15)) * size;
  fill(pixels, bytes, one_in(10));
  frame.pixels = pixels;
  return frame;
}

void crop_at_random(const cxr_edge_frame &frame, cxr_edge_recipe &recipe) {
  recipe.crop_height = frame.height;
  recipe.crop_width = frame.width;
  if (one_in(2)) return;
  recipe.crop_top = static_cast<uint32_t>(draw(0, frame.height - 1));
  recipe.crop_left = static_cast<uint32_t>(draw(0, frame.width - 1));
  recipe.crop_height = static_cast<uint32_t>(draw(1, frame.height - recipe.crop_top));
  recipe.crop_width = static_cast<uint32_t>(draw(1, frame.width - recipe.crop_left));
}

cxr_edge_recipe random_recipe(const cxr_edge_frame &frame) {
  cxr_edge_recipe recipe{};
  crop_at_random(frame, recipe);
  const bool is_signed = frame.pixel_type == CXR_EDGE_INT8 || frame.pixel_type == CXR_EDGE_INT16;
  const bool full = one_in(4);
  recipe.window_lo = full ? (is_signed ? -32768 : 0) : static_cast<int32_t>(draw(-100000, 100000));
  recipe.window_hi = recipe.window_lo + (full ? 65535 : static_cast<int32_t>(draw(1, 65535)));
  if (one_in(50)) recipe.window_lo = INT32_MIN, recipe.window_hi = INT32_MIN + 65535;
  if (one_in(50)) recipe.window_lo = INT32_MAX - 65535, recipe.window_hi = INT32_MAX;
  recipe.has_padding = one_in(2);
  recipe.padding_first = static_cast<int32_t>(draw(-70000, 70000));
  recipe.padding_last = recipe.padding_first + static_cast<int32_t>(draw(-2, 40000));
  recipe.inverted = one_in(2);
  recipe.scale = (recipe.inverted ? -1.0 : 1.0) / static_cast<double>(draw(1, 2000000000));
  recipe.offset = static_cast<double>(draw(-1000, 1000)) / 333.0;
  return recipe;
}

// Every float is another than any result, so that one that is never written shows; those behind the output stay.
std::vector<float> unwritten(Output size) {
  std::vector<float> memory(size_t{size.height} * size.width + 8);
  std::memset(memory.data(), 0xFF, memory.size() * sizeof(float));
  return memory;
}

uint64_t check_case(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, Output size) {
  std::vector<float> want = unwritten(size), got = unwritten(size);
  const cxr_edge_status status = cxr_edge_preprocess(&frame, &recipe, want.data(), size.height, size.width, 0, 1);
  CHECK(status == CXR_EDGE_OK, "%s", cxr_edge_status_message(status));
  const TilePlan plan = plan_tiles(frame, recipe, got.data(), size.height, size.width);
  const uint64_t blocks = with_program(plan, EmulatedLaunch{});
  CHECK(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)) == 0,
        "type %d, unit %u, stride %zu, crop %ux%u at %u,%u to %ux%u, window %d..%d, padding %d: %d..%d",
        frame.pixel_type, plan.unit_bytes, frame.row_stride, recipe.crop_height, recipe.crop_width, recipe.crop_top,
        recipe.crop_left, size.height, size.width, recipe.window_lo, recipe.window_hi, recipe.has_padding,
        recipe.padding_first, recipe.padding_last);
  return blocks;
}

// Small and middling frames to outputs of any size, smaller and larger.
uint64_t random_cases(GuardedMemory &memory, int cases) {
  uint64_t blocks = 0;
  for (int k = 0; k < cases && failures < 10; ++k) {
    const cxr_edge_frame frame = random_frame(memory, draw_side(300), draw_side(600));
    blocks += check_case(frame, random_recipe(frame), Output{draw_side(60), draw_side(300)});
  }
  return blocks;
}

// Sides up to 5,000 pixels, to few rows or columns: several chunks of columns for one output pixel, many rows a band.
uint64_t large_cases(GuardedMemory &memory, int cases) {
  uint64_t blocks = 0;
  for (int k = 0; k < cases && failures < 10; ++k) {
    const bool wide = one_in(2);
    const uint32_t side = static_cast<uint32_t>(draw(600, 5000)), other = draw_side(100);
    const cxr_edge_frame frame = random_frame(memory, wide ? other : side, wide ? side : other);
    blocks += check_case(frame, random_recipe(frame), Output{draw_side(224), draw_side(224)});
  }
  return blocks;
}

// What the library is for: a detector's frame to the network's input.
uint64_t detector_cases(GuardedMemory &memory) {
  uint64_t blocks = 0;
  for (const auto &[height, width] :
       {std::pair{3000u, 3000u}, {2991u, 2504u}, {1023u, 1211u}, {224u, 224u}, {100u, 131u}}) {
    const cxr_edge_frame frame = random_frame(memory, height, width);
    blocks += check_case(frame, random_recipe(frame), Output{224, 224});
  }
  return blocks;
}

// The sides that 32-bit sums and products are promised for.
uint64_t longest_sides(GuardedMemory &memory) {
  struct Case {
    uint32_t height, width;
    Output size;
  };
  const uint32_t most = CXR_EDGE_MAX_SIDE;
  uint64_t blocks = 0;
  for (const Case &longest : {Case{most, 3, {2, 2}}, Case{most, 3, {224, 1}}, Case{3, most, {2, 2}},
                              Case{3, most, {1, 224}}, Case{3, most, {2, most}}, Case{9, 7, {most, 1}},
                              Case{9, 7, {1, most}}}) {
    const cxr_edge_frame frame = random_frame(memory, longest.height, longest.width);
    cxr_edge_recipe recipe = random_recipe(frame);
    recipe.crop_top = recipe.crop_left = 0;
    recipe.crop_height = frame.height, recipe.crop_width = frame.width;
    blocks += check_case(frame, recipe, longest.size);
  }
  return blocks;
}

void divisions() {
  for (uint32_t divisor = 1; divisor <= CXR_EDGE_MAX_SIDE + 2; ++divisor) {
    const ExactDivision divide(divisor);
    const uint32_t multiple = static_cast<uint32_t>(random_bits()) / divisor * divisor;
    const uint32_t last = UINT32_MAX / divisor * divisor;
    for (const uint32_t n : {0u, 1u, divisor - 1, divisor, multiple - 1, multiple, multiple + 1, last - 1, last,
                             UINT32_MAX, static_cast<uint32_t>(random_bits())}) {
      CHECK(divide(n) == n / divisor, "%u / %u is not %u", n, divisor, divide(n));
    }
  }
}

}  // namespace

int main() {
  GuardedMemory memory;
  divisions();
  uint64_t blocks = random_cases(memory, 8000);
  blocks += large_cases(memory, 600);
  blocks += detector_cases(memory);
  blocks += longest_sides(memory);
  std::printf("emulated blocks: %llu\n", static_cast<unsigned long long>(blocks));
  return failures != 0;
}
