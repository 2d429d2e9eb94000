# `cpack -G DEB`: the package flatimg, and libflatimg-engine-dev for programs that use the engine. See README.md here.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME flatimg)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGE_CONTACT "flatimg maintainers <maintainers@flatimg.example>" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian-files.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME flatimg)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS fuse3)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "fuse2fs, mtools, qemu-utils")
set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "Disk images as flat files, mounted by FUSE
flatimg shows a disk image as a flat file: mount a qcow2 image, and it reads
and writes like the raw disk inside it. Attach that file to a loop device,
look at it with ordinary tools, or give it to a virtual machine monitor that
takes raw disks only. A directory of images can be mounted as a whole, also
over itself.

It reads and writes qcow2 (with backing files, compression, encryption and
snapshots), qcow, composite disks and raw files, reads Android sparse images
and seekable zstd files, and makes, checks, repairs, converts and compares
images. Images are read by a process that is confined before it sees their
first byte.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libflatimg-engine-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libdeflate-dev, libexpected-dev, libfmt-dev, libgcrypt20-dev, libxxhash-dev, libzstd-dev, zlib1g-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "Engine of flatimg: disk images as flat disks (C++)
The engine of flatimg as a static library with its headers: opens qcow2, qcow,
composite, Android sparse, seekable zstd and raw images together with all that
they name, and reads and writes them as flat disks. It needs neither FUSE nor
a mount. The interface is C++20 and changes between versions.")

include(CPack)
