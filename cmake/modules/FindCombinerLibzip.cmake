# libzip, whose own CMake package requires programs that Debian ships in separate packages. Defines
# the target CombinerLibzip::libzip. It is installed beside combinerConfig.cmake, which uses it, too.
find_path(CombinerLibzip_INCLUDE_DIR zip.h)
find_library(CombinerLibzip_LIBRARY zip)
mark_as_advanced(CombinerLibzip_INCLUDE_DIR CombinerLibzip_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CombinerLibzip REQUIRED_VARS CombinerLibzip_LIBRARY CombinerLibzip_INCLUDE_DIR)
if(CombinerLibzip_FOUND AND NOT TARGET CombinerLibzip::libzip)
  add_library(CombinerLibzip::libzip UNKNOWN IMPORTED)
  set_target_properties(CombinerLibzip::libzip PROPERTIES
                        IMPORTED_LOCATION ${CombinerLibzip_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${CombinerLibzip_INCLUDE_DIR})
endif()
