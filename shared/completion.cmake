# Completion for bash: made from a program's --help, as the man pages are.
find_program(BASH bash REQUIRED)

# That of PROGRAM, installed where bash-completion looks for it by the program's name.
function(shoal_completion program)
    set(out ${PROJECT_BINARY_DIR}/completion/${program})
    set(make ${PROJECT_SOURCE_DIR}/deploy/completion/make)
    set(settings ${PROJECT_SOURCE_DIR}/shared/redis/steps/03_settings.lua)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/completion
        COMMAND ${BASH} ${make} $<TARGET_FILE:${program}> ${settings} > ${out}
        DEPENDS ${program} ${make} ${settings} VERBATIM)
    add_custom_target(${program}-completion ALL DEPENDS ${out})
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endfunction()
