# What `cmake --install` installs: the library, its headers under include/combiner and a package for
# find_package(combiner); and with the programs, the models and configs under share/combiner/models,
# manual pages and completion scripts for shells. What only developers need is a component of its own,
# so that packages can leave it out.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME program)

# Lets installed binaries find libraries that are outside the system's folders.
set_target_properties(combiner PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)

target_include_directories(combiner INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(TARGETS combiner EXPORT combiner
        LIBRARY NAMELINK_COMPONENT development
        ARCHIVE COMPONENT development
        FILE_SET HEADERS COMPONENT development)

if(COMBINER_PROGRAMS)
  file(RELATIVE_PATH library_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(combiner_program make_imagenet64 PROPERTIES
                        INSTALL_RPATH_USE_LINK_PATH ON
                        INSTALL_RPATH "$ORIGIN/${library_from_program}")
  install(TARGETS combiner_program make_imagenet64)

  # A component of its own, because packages of the program must not depend on MPI.
  target_compile_definitions(combiner_cli PRIVATE
                             COMBINER_LIBRARIES="${library_from_program}/combiner")
  if(TARGET combiner_mpi)
    install(TARGETS combiner_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/combiner COMPONENT mpi)
  endif()

  install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/
          DESTINATION ${CMAKE_INSTALL_DATADIR}/combiner/models
          FILES_MATCHING PATTERN *.safetensors PATTERN *.json PATTERN *.md)
  install(DIRECTORY ${man_pages}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          FILES_MATCHING PATTERN *.1.gz)
  install(FILES ${completions}/combiner.bash RENAME combiner
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${completions}/combiner.zsh RENAME _combiner
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${completions}/combiner.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/combiner)
install(EXPORT combiner NAMESPACE combiner:: FILE combinerTargets.cmake DESTINATION ${package_dir}
        COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/combinerConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/combinerConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/combinerConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/combinerConfig.cmake
              ${PROJECT_BINARY_DIR}/combinerConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/modules/FindCombinerLibzip.cmake
        DESTINATION ${package_dir} COMPONENT development)
