# Debian packages by CPack (deploy/packages deb): shoal, libshoal-dev, shoal-doc. Built on Debian 12 they are for 12, and
# on 13 for 13: the libraries are others.
file(STRINGS /etc/os-release RELEASE REGEX "^VERSION_ID=")
string(REGEX REPLACE "[^0-9.]" "" RELEASE "${RELEASE}")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME shoal)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "cluster of Twitch chat connections, coordinated through Redis")
set(CPACK_PACKAGE_CONTACT "The Shoal authors <shoal@packages.invalid>")
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON) # there are files below /etc
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL shoal libshoal-dev shoal-doc)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE "1~deb${RELEASE}") # an upgrade of Debian upgrades the package as well
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)

set(CPACK_DEBIAN_SHOAL_PACKAGE_NAME shoal)
set(CPACK_DEBIAN_SHOAL_PACKAGE_SHLIBDEPS ON)
# No linker shows these. kill (procps) is what reloads a service.
set(CPACK_DEBIAN_SHOAL_PACKAGE_DEPENDS "procps, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_SHOAL_PACKAGE_RECOMMENDS "ca-certificates")
# No more than suggested: Debian starts a Redis that it installs, and most nodes have theirs on another host.
set(CPACK_DEBIAN_SHOAL_PACKAGE_SUGGESTS "shoal-doc, redis-server | valkey-server, redis-tools | valkey-tools")
set(CPACK_COMPONENT_SHOAL_DESCRIPTION "Nodes hold the connections to Twitch chat, a coordinator decides which channel
sits on which of them and keeps the limits of Twitch cluster-wide; applications
read and send chat with the Redis client they have.
.
The services are neither enabled nor started by the installation.")
set(DEBIAN ${CMAKE_CURRENT_SOURCE_DIR}/debian)
set(CPACK_DEBIAN_SHOAL_PACKAGE_CONTROL_EXTRA
    "${DEBIAN}/postinst;${DEBIAN}/prerm;${DEBIAN}/postrm;${DEBIAN}/conffiles")

set(CPACK_DEBIAN_LIBSHOAL-DEV_PACKAGE_NAME libshoal-dev)
set(CPACK_DEBIAN_LIBSHOAL-DEV_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_LIBSHOAL-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBSHOAL-DEV_PACKAGE_SUGGESTS "shoal, pkgconf")
set(CPACK_COMPONENT_LIBSHOAL-DEV_DESCRIPTION "What a shared object is built against that decides in shoal-coordinator which
shard holds which channel: shoal/shard_manager.h, a pkg-config file, and its
manual page.")

set(CPACK_DEBIAN_SHOAL-DOC_PACKAGE_NAME shoal-doc)
set(CPACK_DEBIAN_SHOAL-DOC_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_SHOAL-DOC_PACKAGE_SECTION doc)
set(CPACK_COMPONENT_SHOAL-DOC_DESCRIPTION "The documents: how to operate a cluster, its contract with applications (keys,
topics, events, settings), its design, and what Redis should be set to.")

# What a package has beside what is installed from source.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/debian/finish.cmake)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
