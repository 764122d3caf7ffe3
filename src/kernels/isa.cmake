# Tables per instruction set. The sources in `isa_sources` are compiled once per set, with its flags and
# -DSLUICE_ISA=<name>; every function in them lives in namespace sluice::kernels::SLUICE_ISA (cpu/kernels.h says why).
# x86_isa.cc, or portable_isa.cc on other processors, is compiled once, for the baseline, and lists the tables.
set(cpu_kernels ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu)
set(isa_sources ${cpu_kernels}/matmul_isa.cc ${cpu_kernels}/packed_isa.cc ${cpu_kernels}/tiled_isa.cc
                ${cpu_kernels}/packed_bf16_isa.cc ${cpu_kernels}/tiled_bf16_isa.cc
                ${cpu_kernels}/attention_isa.cc ${cpu_kernels}/elementwise_isa.cc
                ${cpu_kernels}/table_isa.cc)

function(sluice_isa name)
  add_library(kernels_${name} OBJECT ${isa_sources})
  target_include_directories(kernels_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(kernels_${name} PRIVATE SLUICE_ISA=${name})
  target_compile_options(kernels_${name} PRIVATE ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own headers write `x = x` for a register without a value.
    target_compile_options(kernels_${name} PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  target_sources(kernels PRIVATE $<TARGET_OBJECTS:kernels_${name}>)
  if(SLUICE_TESTS AND NOT SLUICE_SANITIZE)
    add_test(NAME kernels_${name}_symbols
             COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<TARGET_OBJECTS:kernels_${name}>"
                     -P ${cpu_kernels}/check_symbols.cmake)
  endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  sluice_isa(avx2 -mavx2 -mfma -mf16c)
  sluice_isa(avx512 -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  sluice_isa(avx512vnni -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
             -mprefer-vector-width=512)
  sluice_isa(avx512bf16 -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
             -mavx512bf16 -mprefer-vector-width=512)
  sluice_isa(amx -mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mamx-tile
             -mamx-int8 -mamx-bf16 -mprefer-vector-width=512)
  target_sources(kernels PRIVATE ${cpu_kernels}/x86_isa.cc)
else()
  target_sources(kernels PRIVATE ${cpu_kernels}/portable_isa.cc)
endif()

add_executable(bench_kernels EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/kernels/bench_kernels.cc)
target_link_libraries(bench_kernels PRIVATE kernels)
