// Preprocessing on a GPU for Python. Addresses and streams are integers, as PyCUDA, TensorRT and ONNX Runtime hand
// them over; cxr_edge/preprocess/cuda.py says what they must be.
#include "cxr_edge_cuda.h"
#include "recipe.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace cxr_edge::python {
namespace {

// The status as a sentence, with CUDA's own name and number of the error where there is one.
std::string sentence(cxr_edge_status status, int32_t cuda_error) {
  const std::string text = cxr_edge_status_message(status);
  if (cuda_error == 0) return text;
  return text + " (" + cxr_edge_cuda_error_name(cuda_error) + ", " + std::to_string(cuda_error) + ")";
  return text;
}

// What the caller got wrong is a ValueError, what the machine or CUDA did a RuntimeError.
void raise_unless_ok(cxr_edge_status status, int32_t cuda_error) {
  if (status == CXR_EDGE_OK) return;
  if (status == CXR_EDGE_OUT_OF_MEMORY) throw std::bad_alloc();
  const std::string text = sentence(status, cuda_error);
  if (status < CXR_EDGE_CUDA_NOT_BUILT || status == CXR_EDGE_CUDA_BAD_POINTER) throw nb::value_error(text.c_str());
  throw std::runtime_error(text);
}

class CudaPreprocess {
 public:
  CudaPreprocess() {
    int32_t cuda_error = 0;
    const cxr_edge_status status = cxr_edge_cuda_preprocess_open(&opened_, &cuda_error);
    raise_unless_ok(status, cuda_error);
  }
  ~CudaPreprocess() { cxr_edge_cuda_preprocess_close(opened_); }
  CudaPreprocess(const CudaPreprocess &) = delete;
  CudaPreprocess &operator=(const CudaPreprocess &) = delete;

  int32_t device() const { return cxr_edge_cuda_preprocess_device(opened_); }

  void run(uintptr_t pixels, int32_t pixel_type, std::pair<uint32_t, uint32_t> size, size_t row_stride,
           const CropBox &crop, Range window, std::optional<Range> padding, bool inverted, Map map, uintptr_t out,
           std::pair<uint32_t, uint32_t> out_size, uintptr_t stream) const {
    const cxr_edge_frame frame{reinterpret_cast<const void *>(pixels), pixel_type, size.first, size.second, row_stride};
    const cxr_edge_recipe recipe = recipe_of(crop, window, padding, inverted, map);
    int32_t cuda_error = 0;
    cxr_edge_status status = CXR_EDGE_OK;
    {
      nb::gil_scoped_release released;  // a full launch queue makes a caller wait
      status = cxr_edge_cuda_preprocess_run(opened_, &frame, &recipe, reinterpret_cast<float *>(out), out_size.first,
                                            out_size.second, reinterpret_cast<void *>(stream), &cuda_error);
    }
    raise_unless_ok(status, cuda_error);
  }

 private:
  cxr_edge_cuda_preprocess *opened_ = nullptr;
};

std::optional<std::string> unavailable_reason() {
  int32_t cuda_error = 0;
  const cxr_edge_status status = cxr_edge_cuda_available(&cuda_error);
  if (status == CXR_EDGE_OK) return std::nullopt;
  return sentence(status, cuda_error);
}

}  // namespace

void bind_cuda(nb::module_ &module) {
  module.attr("CUDA_BUILD") = cxr_edge_cuda_build();
  module.def("cuda_unavailable_reason", &unavailable_reason, "Why no GPU can be used, a sentence; None where one can.");
  nb::class_<CudaPreprocess>(module, "CudaPreprocess", "Preprocessing on the CUDA device that is current.")
      .def(nb::init<>())
      .def_prop_ro("device", &CudaPreprocess::device, "The device's ordinal.")
      .def("run", &CudaPreprocess::run, "pixels"_a, "pixel_type"_a, "size"_a, "row_stride"_a, "crop"_a, "window"_a,
           "padding"_a.none(), "inverted"_a, "map"_a, "out"_a, "out_size"_a, "stream"_a,
           "Queues the work for one frame on a stream. pixels, out and stream are addresses, sizes (height, width).");
}

}  // namespace cxr_edge::python
