# bash completion for flatimg(1), on top of the package bash-completion.

_flatimg_commands="mount umount attach detach status doctor info map check create compose resize compare convert commit rebase snapshot"
_flatimg_formats="raw qcow2 qcow sparse composite zstd"

# The options of a command.
_flatimg_options() {
  local image="-f --format --allow-path --key-file"
  case $1 in
    mount) echo "-f --foreground -o" ;;
    umount) echo "-l --lazy" ;;
    attach) echo "-P --partscan -r --read-only -o" ;;
    status) echo "--output -w --watch --interval --count" ;;
    doctor) echo "--output" ;;
    info) echo "$image -U --force-share --output --backing-chain --explain" ;;
    map) echo "$image -U --force-share --piece --output" ;;
    check) echo "$image -U --force-share --output --data -r --repair -p --progress -q --quiet" ;;
    create) echo "-f --format -o -b --backing -F --backing-format --allow-path --key-file -q --quiet" ;;
    compose) echo "-O --output --gpt --allow-path -q --quiet" ;;
    resize) echo "$image -q --quiet --shrink" ;;
    compare) echo "$image -U --force-share --piece -F -s --strict -p --progress -q --quiet" ;;
    convert) echo "$image -U --force-share --piece -O --target-format -c --compress -o --target-key-file -T --threads -p --progress -q --quiet" ;;
    commit) echo "$image -q --quiet -d -p --progress" ;;
    rebase) echo "$image -q --quiet -b --backing -F --backing-format -u --unsafe -p --progress" ;;
    snapshot) echo "$image -l --list -c --create -a --apply -d --delete -U --force-share --output -q --quiet" ;;
  esac
  echo "-h --help -V --version"
}

# Words that may follow -o of mount. Those that end in = take a value.
_flatimg_mount_words="format= allow-path= overlay= backing= pieces= snapshot= key-file= ro rw cache-size= flush-interval= unpack=
  unpack-dir= unpack-size= threads= io= discard= detect-zeroes= growable audit= lock= sandbox= suffix= uid= gid= umask= allow_other
  default_permissions fsname= subtype= max_read= noatime nodiratime sync dirsync"

# Words that may follow -o of create and convert, for a format.
_flatimg_create_words() {
  case $1 in
    qcow2) echo "cluster_size= compat= compression_type= data_file= data_file_raw= extended_l2= lazy_refcounts= preallocation=
      refcount_bits= encrypt.format= encrypt.cipher-alg= encrypt.cipher-mode= encrypt.ivgen-alg= encrypt.ivgen-hash-alg=
      encrypt.hash-alg= encrypt.iter-time=" ;;
    qcow) echo "xen= encrypt.format=" ;;
    sparse) echo "block_size= crc=" ;;
    zstd) echo "frame_size= compression_level= checksum=" ;;
    *) echo "preallocation=" ;;
  esac
}

# The values of a word behind -o: candidates for what begins with $2.
_flatimg_values() {
  local values=''
  case $1 in
    format) values=$_flatimg_formats ;;
    unpack | audit | lock | sandbox | data_file_raw | extended_l2 | lazy_refcounts | crc | checksum) values="on off" ;;
    io) values="auto thread uring" ;;
    discard) values="unmap ignore" ;;
    detect-zeroes) values="off on unmap" ;;
    compat) values="0.10 1.1" ;;
    compression_type) values="zlib zstd" ;;
    preallocation) values="off metadata falloc full" ;;
    encrypt.format) values="luks aes" ;;
    xen) values="off sparse preallocated" ;;
    overlay | backing | pieces | key-file | data_file) compgen -f -- "$2"; return ;;
    allow-path | unpack-dir) compgen -d -- "$2"; return ;;
  esac
  compgen -W "$values" -- "$2"
}

# Completes the last word of a list behind -o; $1 has the words that there are. What readline replaces begins behind the
# last = or :, so what stands in front of that is taken off again.
_flatimg_list() {
  local before='' last=$cur
  if [[ $cur == *,* ]]; then before=${cur%,*},; last=${cur##*,}; fi
  local found
  if [[ $last == *=* ]]; then
    before+=${last%%=*}=
    mapfile -t found < <(_flatimg_values "${last%%=*}" "${last#*=}")
  else
    mapfile -t found < <(compgen -W "$1" -- "$last")
  fi
  local kept=${cur%"${cur##*[=:]}"}
  COMPREPLY=()
  for last in "${found[@]}"; do
    last=$before$last
    COMPREPLY+=("${last#"$kept"}")
  done
  compopt -o nospace 2>/dev/null
}

# The word that follows one of the options given, or $1.
_flatimg_given() {
  local i answer=$1
  shift
  for ((i = 2; i < cword; ++i)); do
    if [[ " $* " == *" ${words[i]} "* ]]; then answer=${words[i + 1]}; fi
  done
  echo "$answer"
}

# Completes what follows an option; fails when that takes no value.
_flatimg_value_of_option() {
  local command=$1 values
  case $command,$prev in
    mount,-o | attach,-o) _flatimg_list "$_flatimg_mount_words"; return ;;
    create,-o) _flatimg_list "$(_flatimg_create_words "$(_flatimg_given raw -f --format)")"; return ;;
    convert,-o) _flatimg_list "$(_flatimg_create_words "$(_flatimg_given raw -O --target-format)")"; return ;;
    mount,-f) return 1 ;;
    create,-f | create,--format) values="raw qcow2 qcow" ;;
    convert,-O | convert,--target-format) values="raw qcow2 qcow sparse zstd" ;;
    compose,-O | compose,--output) _filedir; return ;;
    map,--output) values="human json svg" ;;
    status,--output) values="human json prometheus" ;;
    *,--output) values="human json" ;;
    *,-f | *,--format | *,-F | *,--backing-format) values=$_flatimg_formats ;;
    check,-r | check,--repair) values="leaks all" ;;
    status,--interval | status,--count | convert,-T | convert,--threads | snapshot,-[cad] | snapshot,--create | snapshot,--apply | snapshot,--delete) return ;;
    create,-b | rebase,-b | *,--backing | *,--key-file | *,--target-key-file | *,--piece) _filedir; return ;;
    *,--allow-path) _filedir -d; return ;;
    *) return 1 ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
}

_flatimg() {
  local cur prev words cword split
  _init_completion -s -n : || return
  local command=${words[1]}
  if ((cword == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$_flatimg_commands -h --help -V --version" -- "$cur")
    [[ ${#COMPREPLY[@]} -gt 0 ]] || _filedir
    return
  fi
  [[ " $_flatimg_commands " == *" $command "* ]] || command=mount # flatimg SOURCE MOUNTPOINT
  _flatimg_value_of_option "$command" && return
  $split && return
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_flatimg_options "$command")" -- "$cur")
    return
  fi
  case $command in
    doctor) ;;
    detach) cur=${cur:-/dev/loop}; _filedir ;;
    umount | status) _filedir -d; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(_flatimg_mountpoints) ;;
    *) _filedir ;;
  esac
}

# Where something of ours is mounted.
_flatimg_mountpoints() {
  local rest mountpoint
  while read -r _ _ _ _ mountpoint rest; do
    if [[ $rest == *" - fuse.flatimg "* && $mountpoint == "$cur"* ]]; then printf '%b\n' "${mountpoint//\\/\\0}"; fi
  done < /proc/self/mountinfo
}

complete -F _flatimg flatimg
