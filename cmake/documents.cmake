# What is made of the programs' definitions: manual pages and completion scripts. They are in the
# build folder as they are installed.
add_executable(make_man_pages tools/make_man_pages.cpp)
set_target_properties(make_man_pages PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tools)
target_link_libraries(make_man_pages PRIVATE combiner_cli combiner_flags)

set(man_pages ${PROJECT_BINARY_DIR}/man)
add_custom_command(OUTPUT ${man_pages}/combiner.1
                   COMMAND ${CMAKE_COMMAND} -E rm -rf ${man_pages}
                   COMMAND make_man_pages ${man_pages}
                   COMMAND sh -c "gzip -9nk \"$0\"/*.1" ${man_pages}
                   DEPENDS make_man_pages
                   VERBATIM)

set(completions ${PROJECT_BINARY_DIR}/completions)
add_custom_command(OUTPUT ${completions}/combiner.bash ${completions}/combiner.zsh
                          ${completions}/combiner.fish
                   COMMAND ${CMAKE_COMMAND} -E make_directory ${completions}
                   COMMAND combiner_program completion bash > ${completions}/combiner.bash
                   COMMAND combiner_program completion zsh > ${completions}/combiner.zsh
                   COMMAND combiner_program completion fish > ${completions}/combiner.fish
                   DEPENDS combiner_program
                   VERBATIM)

add_custom_target(documents ALL DEPENDS ${man_pages}/combiner.1 ${completions}/combiner.bash)
