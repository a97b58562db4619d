# The Debian packages that `cmake --build build/release --target package` makes: combiner, which has
# all that is installed except what only developers need, and combiner-mpi, for many machines, where
# there is an MPI. There is no such target without Debian's tools and its OpenCV.
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
get_target_property(imgcodecs opencv_imgcodecs LOCATION)
file(REAL_PATH ${imgcodecs} imgcodecs)
# imgcodecs is loaded at run time, so dpkg-shlibdeps does not see it.
execute_process(COMMAND dpkg-query --search ${imgcodecs}
                OUTPUT_VARIABLE imgcodecs_package ERROR_QUIET)
if(NOT DPKG_SHLIBDEPS OR NOT imgcodecs_package)
  return()
endif()
string(REGEX REPLACE ":.*" "" imgcodecs_package ${imgcodecs_package})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Combiner developers <combiner@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)

set(CPACK_COMPONENTS_ALL program)
if(TARGET combiner_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_COMPONENTS_GROUPING IGNORE)  # a package for each
set(CPACK_DEB_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Transformers of images on ordinary CPUs")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME combiner)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS ${imgcodecs_package})
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION
"Likelihood models of images with Combiner-Axial attention: a program that
trains, evaluates and samples them on ordinary processors, and two small
models.")
set(CPACK_DEBIAN_MPI_PACKAGE_NAME combiner-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "combiner (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_MPI_PACKAGE_RECOMMENDS mpi-default-bin)
set(CPACK_DEBIAN_MPI_DESCRIPTION
"Trains and evaluates transformers of images on many machines: what the
program of the package combiner loads where MPI has started it.")
include(CPack)
