// cxr_edge._native: the C interface for Python. What a caller may get wrong is said in cxr_edge/preprocess/native.py;
// here every argument is checked once more, because memory is at stake.
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include "cxr_edge.h"
#include "engine_binding.h"
#include "recipe.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace cxr_edge::python;

namespace {

using Pixels = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

int32_t pixel_type_of(nb::dlpack::dtype type) {
  if (type == nb::dtype<uint8_t>()) return CXR_EDGE_UINT8;
  if (type == nb::dtype<uint16_t>()) return CXR_EDGE_UINT16;
  if (type == nb::dtype<int8_t>()) return CXR_EDGE_INT8;
  if (type == nb::dtype<int16_t>()) return CXR_EDGE_INT16;
  throw nb::type_error("pixels must be uint8, uint16, int8 or int16");
}

int32_t simd_of(const std::string &name) {
  for (const int32_t level : {CXR_EDGE_SIMD_SCALAR, CXR_EDGE_SIMD_NEON, CXR_EDGE_SIMD_AVX2, CXR_EDGE_SIMD_AVX512}) {
    if (name == cxr_edge_simd_name(level)) return level;
  }
  throw nb::value_error(("unknown SIMD level: " + name).c_str());
}

cxr_edge_frame frame_of(const Pixels &pixels) {
  const int32_t type = pixel_type_of(pixels.dtype());
  const size_t limit = UINT32_MAX;
  if (pixels.shape(0) > limit || pixels.shape(1) > limit) throw nb::value_error("a side of the frame exceeds 32 bits");
  return cxr_edge_frame{pixels.data(), type, static_cast<uint32_t>(pixels.shape(0)),
                        static_cast<uint32_t>(pixels.shape(1)), pixels.shape(1) * pixels.itemsize()};
}

void preprocess(const Pixels &pixels, const CropBox &crop, Range window, std::optional<Range> padding, bool inverted,
                Map map, const Output &out, uint32_t threads, const std::string &simd) {
  const cxr_edge_frame frame = frame_of(pixels);
  const cxr_edge_recipe recipe = recipe_of(crop, window, padding, inverted, map);
  const int32_t level = simd_of(simd);
  if (out.shape(0) > CXR_EDGE_MAX_SIDE || out.shape(1) > CXR_EDGE_MAX_SIDE) {
    throw nb::value_error(cxr_edge_status_message(CXR_EDGE_BAD_SIZE));
  }
  cxr_edge_status status = CXR_EDGE_OK;
  {
    nb::gil_scoped_release released;
    status = cxr_edge_preprocess(&frame, &recipe, out.data(), static_cast<uint32_t>(out.shape(0)),
                                 static_cast<uint32_t>(out.shape(1)), level, threads);
  }
  if (status == CXR_EDGE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status != CXR_EDGE_OK) throw nb::value_error(cxr_edge_status_message(status));
}

std::vector<std::string> simd_levels() {
  std::vector<std::string> names;
  for (const int32_t level : {CXR_EDGE_SIMD_SCALAR, CXR_EDGE_SIMD_NEON, CXR_EDGE_SIMD_AVX2, CXR_EDGE_SIMD_AVX512}) {
    if (cxr_edge_simd_available(level)) names.emplace_back(cxr_edge_simd_name(level));
  }
  return names;
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "Native preprocessing; cxr_edge.preprocess.native is its public face.";
  module.attr("__version__") = cxr_edge_version();
  module.attr("MAX_SIDE") = CXR_EDGE_MAX_SIDE;
  // noconvert: without it an array of another type would be converted, silently and wrongly, to the one asked for.
  module.def("preprocess", &preprocess, "pixels"_a.noconvert(), "crop"_a, "window"_a, "padding"_a.none(), "inverted"_a,
             "map"_a, "out"_a.noconvert(), "threads"_a, "simd"_a,
             "Writes the network's input to out; crop is (top, left, height, width), window and padding are (first, "
             "last), map is (scale, offset).");
  module.def("simd_levels", &simd_levels, "The SIMD levels that run here, slowest first.");
  bind_cuda(module);
  bind_engine(module);
}
