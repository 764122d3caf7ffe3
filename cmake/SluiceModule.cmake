# sluice_precompiled(<name> [LIBS <libraries…>] HEADERS <headers…>)
#
# Headers that many sources read are compiled once: PRECOMPILED_BY <name> of a target (sluice_precompile) takes them from
# here. They are headers of others only, never our own, and sources include what they use all the same: `make lint` reads
# them without.
function(sluice_precompiled name)
  cmake_parse_arguments(ARG "" "" "LIBS;HEADERS" ${ARGN})
  if(SLUICE_PRECOMPILED_HEADERS)
    add_library(${name} OBJECT ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
    target_include_directories(${name} SYSTEM PRIVATE ${CMAKE_SOURCE_DIR}/third_party)
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
    target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  endif()
endfunction()

function(sluice_precompile target name)
  if(SLUICE_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

# sluice_unity(<target> <sources at a time>)
#
# With SLUICE_UNITY the target's sources are compiled several at a time, as if they were one: what they include is read,
# and what they instantiate compiled, once for all of them. So no two sources of a target give one name two meanings.
function(sluice_unity target count)
  if(SLUICE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${count})
  endif()
endfunction()

set(sluice_standard_headers
    <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <condition_variable> <cstdint> <cstring> <filesystem>
    <fstream> <functional> <limits> <map> <memory> <mutex> <optional> <random> <span> <string> <string_view> <thread>
    <unordered_map> <utility> <variant> <vector> <nlohmann/json.hpp>)

# One program each (with SLUICE_FUZZ), or one replay test over its corpus.
function(sluice_fuzz_targets module)
  foreach(source ${ARGN})
    get_filename_component(target ${source} NAME_WE)
    if(SLUICE_FUZZ)
      add_executable(${target} ${source})
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      target_link_libraries(${target} PRIVATE ${module})
    elseif(SLUICE_TESTS)
      add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cc)
      target_link_libraries(${target} PRIVATE ${module})
      add_test(NAME ${target} COMMAND ${target} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${target})
      set_tests_properties(${target} PROPERTIES TIMEOUT 120)
    endif()
  endforeach()
endfunction()

# sluice_module(<name> DEPS <modules…> [LIBS <libraries…>])
#
# Builds src/<name>/**.cc into the static library `<name>` and src/<name>/**_test.cc into `<name>_tests`, and links
# exactly the modules named, so that a forbidden use fails to link as well as tools/check_layers.py.
# src/<name>/**_fuzz.cc are its fuzz targets.
function(sluice_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|/main|_isa)\\.cc$")

  if(sources)
    add_library(${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_include_directories(${name} SYSTEM ${scope} ${CMAKE_SOURCE_DIR}/third_party)
  target_link_libraries(${name} ${scope} ${ARG_DEPS} ${ARG_LIBS})
  if(sources)
    sluice_precompile(${name} precompiled)
    sluice_unity(${name} 8)
  endif()

  if(SLUICE_TESTS AND tests)
    add_executable(${name}_tests ${tests})
    target_link_libraries(${name}_tests PRIVATE ${name} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_tests PRIVATE SLUICE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    sluice_precompile(${name}_tests precompiled_tests)
    sluice_unity(${name}_tests 4)
    add_test(NAME ${name} COMMAND ${name}_tests WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77)
  endif()

  sluice_fuzz_targets(${name} ${fuzzers})
endfunction()
