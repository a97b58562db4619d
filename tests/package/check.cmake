# Installs the build tree `build` under `work`, then configures, builds and runs the project in this
# folder against it.
set(prefix ${work}/prefix)
file(REMOVE_RECURSE ${work})

execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} --prefix ${prefix}
                COMMAND_ERROR_IS_FATAL ANY)
foreach(file man/man1/combiner.1.gz man/man1/combiner-sample.1.gz
        bash-completion/completions/combiner zsh/vendor-completions/_combiner
        fish/vendor_completions.d/combiner.fish)
  if(NOT EXISTS ${prefix}/share/${file})
    message(FATAL_ERROR "share/${file} is not installed")
  endif()
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${work}/build
                        -G ${generator} -D version=${version} -D samples=${samples}
                        -D "CMAKE_PREFIX_PATH=${prefix};${prefix_path}"
                        -D CMAKE_CXX_COMPILER=${compiler} -D "CMAKE_CXX_FLAGS=${flags}"
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${work}/build COMMAND_ERROR_IS_FATAL ANY)
# A project of which the sources are a part.
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/parent -B ${work}/parent
                        -G ${generator} -D combiner=${CMAKE_CURRENT_LIST_DIR}/../..
                        -D "CMAKE_PREFIX_PATH=${prefix_path}"
                        -D CMAKE_CXX_COMPILER=${compiler} -D "CMAKE_CXX_FLAGS=${flags}"
                COMMAND_ERROR_IS_FATAL ANY)
set(model ${prefix}/share/combiner/models/cifar10.safetensors)
execute_process(COMMAND ${work}/build/consumer ${model} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${work}/build/samples/attention COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${work}/build/samples/draw ${model} WORKING_DIRECTORY ${work}/build
                COMMAND_ERROR_IS_FATAL ANY)
