// The engine's part of the Python extension.
#pragma once

#include <nanobind/nanobind.h>

void bind_engine(nanobind::module_ &module);
