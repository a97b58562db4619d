# The programs: the server, what they share besides the library, and themselves.

# The server. The files that it serves are built in.
file(GLOB server_sources CONFIGURE_DEPENDS src/server/*.cpp)
set(page ${PROJECT_SOURCE_DIR}/src/server/page)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page}/index.html
             ${page}/openapi.json)
file(READ ${page}/index.html page_html)
file(READ ${page}/openapi.json openapi_json)
configure_file(src/server/embedded.cpp.in ${PROJECT_BINARY_DIR}/embedded.cpp @ONLY)
add_library(combiner_server STATIC ${server_sources} ${PROJECT_BINARY_DIR}/embedded.cpp)
target_link_libraries(combiner_server
  PUBLIC combiner fmt::fmt nlohmann_json::nlohmann_json
  PRIVATE combiner_flags PkgConfig::HTTPLIB Threads::Threads)

# The code that the programs share besides the library.
file(GLOB cli_sources CONFIGURE_DEPENDS src/cli/*.cpp)
add_library(combiner_cli STATIC ${cli_sources})
target_compile_definitions(combiner_cli PRIVATE COMBINER_VERSION="${PROJECT_VERSION}")
target_link_libraries(combiner_cli PUBLIC combiner CLI11::CLI11 fmt::fmt
                      PRIVATE combiner_flags combiner_server nlohmann_json::nlohmann_json
                              OpenSSL::Crypto)

add_executable(combiner_program src/main.cpp)
set_target_properties(combiner_program PROPERTIES OUTPUT_NAME combiner)
target_link_libraries(combiner_program PRIVATE combiner_cli combiner_flags)

# The cluster's MPI form, which the program loads where MPI has started it. AUTO: if there is an MPI.
if(COMBINER_MPI STREQUAL "ON")
  find_package(MPI REQUIRED COMPONENTS CXX)
elseif(COMBINER_MPI STREQUAL "AUTO")
  find_package(MPI QUIET COMPONENTS CXX)
elseif(NOT COMBINER_MPI STREQUAL "OFF")
  message(FATAL_ERROR "COMBINER_MPI is ${COMBINER_MPI}; expected AUTO, ON or OFF")
endif()
if(NOT COMBINER_MPI STREQUAL "OFF" AND MPI_CXX_FOUND)
  add_library(combiner_mpi MODULE src/cluster/mpi.cpp)
  set_target_properties(combiner_mpi PROPERTIES PREFIX "")
  target_include_directories(combiner_mpi PRIVATE src src/include)
  target_compile_definitions(combiner_mpi PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
  target_link_libraries(combiner_mpi PRIVATE combiner_flags MPI::MPI_CXX Threads::Threads)
  add_dependencies(combiner_program combiner_mpi)
endif()

add_executable(make_imagenet64 tools/make_imagenet64.cpp)
set_target_properties(make_imagenet64 PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tools)
target_link_libraries(make_imagenet64 PRIVATE combiner_cli combiner_flags)
