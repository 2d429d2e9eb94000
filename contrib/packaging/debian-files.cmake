# Run by cpack when the files of each package lie in a folder of their own, before the packages are made of them: adds what
# every Debian package has, and compresses and strips as Debian does.
set(here ${CMAKE_CURRENT_LIST_DIR})
find_program(GZIP gzip REQUIRED)
find_program(OBJCOPY objcopy REQUIRED)

function(compress)
  if(ARGN)
    execute_process(COMMAND ${GZIP} -9nf ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endfunction()

function(add_debian_files root package)
  set(doc ${root}/usr/share/doc/${package})
  file(COPY ${here}/copyright ${here}/changelog DESTINATION ${doc} FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  compress(${doc}/changelog)
  file(GLOB pages ${root}/usr/share/man/man*/*.[1-9])
  compress(${pages})
  if(EXISTS ${root}/usr/share/zsh/site-functions)  # Debian's zsh looks there beneath /usr/local only
    file(RENAME ${root}/usr/share/zsh/site-functions ${root}/usr/share/zsh/vendor-completions)
  endif()
  file(GLOB programs ${root}/usr/bin/*)
  foreach(program ${programs})
    execute_process(COMMAND ${OBJCOPY} --remove-section=.comment ${program} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  file(GLOB archives ${root}/usr/lib/*.a ${root}/usr/lib/*/*.a)
  foreach(archive ${archives})
    execute_process(COMMAND ${OBJCOPY} --strip-debug --enable-deterministic-archives --remove-section=.comment ${archive}
      COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endfunction()

add_debian_files(${CPACK_TEMPORARY_INSTALL_DIRECTORY}/program flatimg)
add_debian_files(${CPACK_TEMPORARY_INSTALL_DIRECTORY}/development libflatimg-engine-dev)
