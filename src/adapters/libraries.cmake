# The libraries of the adapters: libcurl (libcurl4-openssl-dev on Debian and Ubuntu), OpenSSL 3.
find_package(CURL 7.81 REQUIRED)

add_library(sluice_adapter_libraries INTERFACE)
target_link_libraries(sluice_adapter_libraries INTERFACE CURL::libcurl OpenSSL::Crypto Threads::Threads)
