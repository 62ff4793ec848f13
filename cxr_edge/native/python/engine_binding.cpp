// The engine for Python. cxr_edge/engines/native_engine.py is its public face; here sizes are checked once more, because
// memory is at stake.
#include "engine_binding.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>

#include "cxr_edge_engine.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Image = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Logit = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Map = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

constexpr size_t detail_capacity = 256;

int32_t kernel_of(const std::string &name) {
  if (name == "best") return CXR_EDGE_KERNEL_BEST;
  for (int32_t kernel = CXR_EDGE_KERNEL_SCALAR; cxr_edge_kernel_name(kernel) != nullptr; ++kernel) {
    if (name == cxr_edge_kernel_name(kernel)) return kernel;
  }
  throw nb::value_error(("unknown kernel: " + name).c_str());
}

std::vector<std::string> kernels() {
  std::vector<std::string> names;
  for (int32_t kernel = CXR_EDGE_KERNEL_SCALAR; cxr_edge_kernel_name(kernel) != nullptr; ++kernel) {
    if (cxr_edge_kernel_available(kernel) != 0) names.emplace_back(cxr_edge_kernel_name(kernel));
  }
  return names;
}

class Engine {
 public:
  Engine(const nb::bytes &model, uint32_t threads, const std::string &kernel) {
    char detail[detail_capacity];
    cxr_edge_engine *engine = nullptr;
    const cxr_edge_status status = cxr_edge_engine_open_memory(model.c_str(), model.size(), threads, kernel_of(kernel),
                                                               &engine, detail, sizeof detail);
    if (status == CXR_EDGE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (status != CXR_EDGE_OK) throw nb::value_error(detail);
    engine_.reset(engine);
    cxr_edge_engine_describe(engine, &description_);
  }

  // Writes into arrays of exactly the model's sizes.
  void infer(const Image &image, const Logit &logit, const Map &cam) const {
    const auto &d = description_;
    const bool fits = image.shape(0) == d.height && image.shape(1) == d.width && logit.shape(0) == d.outputs &&
                      cam.shape(0) == d.outputs && cam.shape(1) == d.map_height && cam.shape(2) == d.map_width;
    if (!fits) throw nb::value_error("image, logit or cam has another shape than the model");
    cxr_edge_status status = CXR_EDGE_OK;
    {
      nb::gil_scoped_release released;
      status = cxr_edge_engine_infer(engine_.get(), image.data(), logit.data(), cam.data());
    }
    if (status != CXR_EDGE_OK) throw nb::value_error(cxr_edge_status_message(status));
  }

  const cxr_edge_engine_description &description() const { return description_; }

 private:
  struct Close {
    void operator()(cxr_edge_engine *engine) const { cxr_edge_engine_close(engine); }
  };
  std::unique_ptr<cxr_edge_engine, Close> engine_;
  cxr_edge_engine_description description_{};
};

}  // namespace

void bind_engine(nb::module_ &module) {
  module.def("kernels", &kernels, "The engine's kernels that run here, slowest of a kind of processor first.");
  nb::class_<Engine>(module, "Engine", "A model.native file, loaded; given back when the last reference goes.")
      .def(nb::init<const nb::bytes &, uint32_t, const std::string &>(), "model"_a, "threads"_a, "kernel"_a)
      .def("infer", &Engine::infer, "image"_a.noconvert(), "logit"_a.noconvert(), "cam"_a.noconvert(),
           "Writes logit [K] and cam [K, h, w] for image [H, W].")
      .def_prop_ro("height", [](const Engine &engine) { return engine.description().height; })
      .def_prop_ro("width", [](const Engine &engine) { return engine.description().width; })
      .def_prop_ro("outputs", [](const Engine &engine) { return engine.description().outputs; })
      .def_prop_ro("map_height", [](const Engine &engine) { return engine.description().map_height; })
      .def_prop_ro("map_width", [](const Engine &engine) { return engine.description().map_width; })
      .def_prop_ro("threads", [](const Engine &engine) { return engine.description().threads; })
      .def_prop_ro("kernel", [](const Engine &engine) { return cxr_edge_kernel_name(engine.description().kernel); });
}
