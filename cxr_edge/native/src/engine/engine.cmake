# Our own INT8 engine, part of the core. One file an instruction set, called only where the processor has it.

include(CheckCXXCompilerFlag)

set(engine ${CMAKE_CURRENT_LIST_DIR})
target_sources(
  cxr_edge_core
  PRIVATE ${engine}/buffers.cpp
          ${engine}/engine_interface.cpp
          ${engine}/kernel_scalar.cpp
          ${engine}/kernel_table.cpp
          ${engine}/model_file.cpp
          ${engine}/network.cpp
          ${engine}/network_steps.cpp
          ${engine}/team.cpp)

# -O3 whatever the build type says: without inlining and unrolling the sums would live in memory.
set(kernel_options -O3 -fno-math-errno -fno-trapping-math)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  target_sources(cxr_edge_core PRIVATE ${engine}/kernel_avx2.cpp ${engine}/kernel_avx512_vnni.cpp)
  # GCC 11 and clang 12 were the first to know AVX-VNNI; older ones build without that kernel.
  check_cxx_compiler_flag(-mavxvnni CXR_EDGE_COMPILER_HAS_AVX_VNNI)
  if(CXR_EDGE_COMPILER_HAS_AVX_VNNI)
    target_sources(cxr_edge_core PRIVATE ${engine}/kernel_avx_vnni.cpp)
    target_compile_definitions(cxr_edge_core PRIVATE CXR_EDGE_HAS_AVX_VNNI)
  endif()
  set(avx512_kernel_options -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 warns about its own AVX-512 header (GCC bug 105593).
    list(APPEND avx512_kernel_options -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(${engine}/kernel_avx2.cpp PROPERTIES COMPILE_OPTIONS "${kernel_options};-mavx2")
  set_source_files_properties(${engine}/kernel_avx_vnni.cpp PROPERTIES COMPILE_OPTIONS
                                                                       "${kernel_options};-mavx2;-mavxvnni")
  set_source_files_properties(${engine}/kernel_avx512_vnni.cpp
                              PROPERTIES COMPILE_OPTIONS "${kernel_options};${avx512_kernel_options}")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  target_sources(cxr_edge_core PRIVATE ${engine}/kernel_dot_product.cpp)
  # GCC 10 and clang 11 were the first to know I8MM.
  check_cxx_compiler_flag(-march=armv8.2-a+dotprod+i8mm CXR_EDGE_COMPILER_HAS_I8MM)
  if(CXR_EDGE_COMPILER_HAS_I8MM)
    target_sources(cxr_edge_core PRIVATE ${engine}/kernel_i8mm.cpp)
    target_compile_definitions(cxr_edge_core PRIVATE CXR_EDGE_HAS_I8MM)
  endif()
  set_source_files_properties(${engine}/kernel_dot_product.cpp
                              PROPERTIES COMPILE_OPTIONS "${kernel_options};-march=armv8.2-a+dotprod")
  set_source_files_properties(${engine}/kernel_i8mm.cpp
                              PROPERTIES COMPILE_OPTIONS "${kernel_options};-march=armv8.2-a+dotprod+i8mm")
endif()
set_source_files_properties(${engine}/kernel_scalar.cpp PROPERTIES COMPILE_OPTIONS "${kernel_options}")
