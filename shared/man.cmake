# Man pages: made from a program's --help by help2man, and from .h2m files for what --help does not say.
find_program(HELP2MAN help2man)
if(NOT HELP2MAN)
    message(FATAL_ERROR "help2man is missing; it makes the man pages. On Debian: apt install help2man")
endif()

# The page of PROGRAM in SECTION, installed. Headings of --help are sections: help2man would have them below.
function(shoal_man_page program section)
    set(page ${PROJECT_BINARY_DIR}/man/${program}.${section})
    set(texts ${CMAKE_CURRENT_SOURCE_DIR}/${program}.h2m ${PROJECT_SOURCE_DIR}/shared/files.h2m)
    list(TRANSFORM texts PREPEND --include= OUTPUT_VARIABLE includes)
    add_custom_command(
        OUTPUT ${page}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
        COMMAND ${HELP2MAN} --no-info --section=${section} --source=Shoal\ ${PROJECT_VERSION}
                ${includes} --output=${page} $<TARGET_FILE:${program}>
        COMMAND sed -i "s/^\\.SS \"\\(.*\\):\"$/.SH \"\\U\\1\"/" ${page}
        DEPENDS ${program} ${texts} VERBATIM)
    add_custom_target(${program}-man ALL DEPENDS ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()
