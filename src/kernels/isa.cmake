# Kernels per instruction set. A source *_isa.cc is compiled once per set, with its flags and -DSLUICE_ISA=<name>; every
# function in it lives in namespace sluice::kernels::SLUICE_ISA (cpu/kernels.h says why). A set that only adds a unit to
# another compiles only what uses that unit. x86_isa.cc, or portable_isa.cc on other processors, is compiled once, for the
# baseline, and makes the tables.
set(cpu_kernels ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu)
set(isa_sources matmul_isa.cc packed_isa.cc tiled_isa.cc packed_bf16_isa.cc tiled_bf16_isa.cc attention_isa.cc
                elementwise_isa.cc table_isa.cc)

# sluice_isa(<name> SOURCES <*_isa.cc…> FLAGS <flags…>)
function(sluice_isa name)
  cmake_parse_arguments(ARG "" "" "SOURCES;FLAGS" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND ${cpu_kernels}/)
  add_library(kernels_${name} OBJECT ${ARG_SOURCES})
  target_include_directories(kernels_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(kernels_${name} PRIVATE SLUICE_ISA=${name})
  target_compile_options(kernels_${name} PRIVATE ${ARG_FLAGS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own headers write `x = x` for a register without a value.
    target_compile_options(kernels_${name} PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
  elseif(SLUICE_SANITIZE MATCHES "address")
    # In code unrolled as far as this, checks of pointers that AddressSanitizer looks at anyway, and its own inlined ones,
    # take six times as long to compile as all the rest.
    target_compile_options(kernels_${name} PRIVATE -fsanitize-address-outline-instrumentation
                           -fno-sanitize=alignment,null,pointer-overflow,object-size,bounds)
  endif()
  target_sources(kernels PRIVATE $<TARGET_OBJECTS:kernels_${name}>)
  if(SLUICE_TESTS AND NOT SLUICE_SANITIZE)
    add_test(NAME kernels_${name}_symbols
             COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<TARGET_OBJECTS:kernels_${name}>"
                     -P ${cpu_kernels}/check_symbols.cmake)
  endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  sluice_isa(avx2 SOURCES ${isa_sources} FLAGS ${avx2})
  sluice_isa(avx512 SOURCES ${isa_sources} FLAGS ${avx512})
  sluice_isa(avx512vnni SOURCES ${isa_sources} FLAGS ${avx512} -mavx512vnni)
  sluice_isa(avx512bf16 SOURCES packed_bf16_isa.cc FLAGS ${avx512} -mavx512vnni -mavx512bf16)
  sluice_isa(amx SOURCES tiled_isa.cc tiled_bf16_isa.cc
             FLAGS ${avx512} -mavx512vnni -mamx-tile -mamx-int8 -mamx-bf16)
  target_sources(kernels PRIVATE ${cpu_kernels}/x86_isa.cc)
else()
  target_sources(kernels PRIVATE ${cpu_kernels}/portable_isa.cc)
endif()

add_executable(bench_kernels EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/kernels/bench_kernels.cc)
target_link_libraries(bench_kernels PRIVATE kernels)
