# Run by CPack between installation and packing: what Debian wants in a package (copyright, changelog, compressed
# pages), and `cmake --install` has no use for.
set(source ${CMAKE_CURRENT_LIST_DIR}/../..)
set(version ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where that is set

function(compress file)
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(package ${CPACK_COMPONENTS_ALL})
    set(root ${CPACK_TEMPORARY_DIRECTORY}/${package})
    set(doc ${root}/usr/share/doc/${package})
    configure_file(${source}/LICENSE ${doc}/copyright COPYONLY)
    file(WRITE ${doc}/changelog.Debian
        "shoal (${version}) unstable; urgency=medium\n\n  * Version ${CPACK_PACKAGE_VERSION}: see CHANGELOG.md in "
        "shoal-doc.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
    compress(${doc}/changelog.Debian)
    file(GLOB_RECURSE pages ${root}/usr/share/man/*)
    foreach(page ${pages})
        compress(${page})
    endforeach()
    execute_process(COMMAND chmod -R u=rwX,go=rX ${root} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
