# The libraries of the server: Boost.Asio (headers only), OpenSSL 3, nghttp2. Packages on Debian and Ubuntu:
# libboost1.81-dev or newer, libssl-dev, libnghttp2-dev, pkg-config.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(WARNING "The server is tested with clang: g++ before 13 miscompiles coroutines (temporaries beside co_await)")
endif()
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.43)

add_library(sluice_server_libraries INTERFACE)
target_link_libraries(sluice_server_libraries INTERFACE Boost::headers OpenSSL::SSL OpenSSL::Crypto PkgConfig::NGHTTP2 Threads::Threads)
target_compile_definitions(sluice_server_libraries INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_NO_TS_EXECUTORS)
