# Makes the Debian packages of the build tree `build` under `work`, and checks what they hold and
# need. With `mpi`, there are two.
function(ask_dpkg_deb answer)
  execute_process(COMMAND dpkg-deb ${ARGN} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
  set(${answer} "${printed}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${work})
execute_process(COMMAND ${cpack} --config ${build}/CPackConfig.cmake -B ${work}
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
file(GLOB package ${work}/combiner_${version}_*.deb)

ask_dpkg_deb(files --contents ${package})
foreach(file bin/combiner share/combiner/models/configs/cifar10.json
        share/combiner/models/cifar10.safetensors
        share/man/man1/combiner-sample.1.gz share/bash-completion/completions/combiner
        share/doc/combiner/copyright)
  if(NOT files MATCHES "-rw[x-]r-[x-]r-[x-] root/root [^\n]* \\./usr/${file}\n")
    message(FATAL_ERROR "/usr/${file} is absent, or others may not read it:\n${files}")
  endif()
endforeach()
if(files MATCHES "/usr/include|\\.a\n|/cmake/")
  message(FATAL_ERROR "there are files for developers:\n${files}")
endif()

ask_dpkg_deb(maintainer --field ${package} Maintainer)
if(NOT maintainer STREQUAL "The Combiner developers <combiner@example.org>\n")
  message(FATAL_ERROR "its maintainer is ${maintainer}")
endif()

ask_dpkg_deb(depends --field ${package} Depends)
foreach(library libc6 libopencv-core libopencv-imgcodecs)
  if(NOT depends MATCHES "${library}")
    message(FATAL_ERROR "it does not depend on ${library}: ${depends}")
  endif()
endforeach()
if(depends MATCHES "mpi")
  message(FATAL_ERROR "it depends on an MPI: ${depends}")
endif()

if(NOT mpi)
  return()
endif()
file(GLOB package ${work}/combiner-mpi_${version}_*.deb)
ask_dpkg_deb(files --contents ${package})
if(NOT files MATCHES "/combiner/combiner_mpi\\.so\n")
  message(FATAL_ERROR "combiner-mpi lacks combiner_mpi.so:\n${files}")
endif()
ask_dpkg_deb(depends --field ${package} Depends)
if(NOT depends MATCHES "combiner \\(= ${version}\\)")
  message(FATAL_ERROR "combiner-mpi does not depend on combiner ${version}: ${depends}")
endif()
