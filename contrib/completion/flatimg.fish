# fish completion for flatimg(1)

set -l commands mount umount attach detach status doctor info map check create compose resize compare convert commit rebase snapshot
set -l formats "raw qcow2 qcow sparse composite zstd"
set -l on_image info map check resize compare convert commit rebase snapshot
set -l reading info map check compare convert snapshot
set -l quiet check create compose resize compare convert commit rebase snapshot
set -l progress check compare convert commit rebase

# The words of a comma list behind -o, each behind what stands there already.
function __flatimg_list
    set -l token (commandline -ct)
    set -l before (string replace -r '[^,]*$' '' -- $token)
    for word in $argv
        echo $before$word
    end
end

function __flatimg_mount_words
    __flatimg_list format={raw,qcow2,qcow,sparse,composite,zstd} allow-path= overlay= backing= pieces= snapshot= key-file= ro rw \
        cache-size= flush-interval= unpack={on,off} unpack-dir= unpack-size= threads= io={auto,thread,uring} \
        discard={unmap,ignore} detect-zeroes={off,on,unmap} growable audit={on,off} lock={on,off} sandbox={on,off} suffix= uid= gid= umask= \
        allow_other default_permissions fsname= subtype= max_read= noatime nodiratime sync dirsync
end

function __flatimg_create_words
    __flatimg_list cluster_size= compat={0.10,1.1} compression_type={zlib,zstd} data_file= data_file_raw={on,off} \
        extended_l2={on,off} lazy_refcounts={on,off} preallocation={off,metadata,falloc,full} refcount_bits= \
        encrypt.format={luks,aes} encrypt.cipher-alg= encrypt.cipher-mode= encrypt.ivgen-alg= encrypt.ivgen-hash-alg= \
        encrypt.hash-alg= encrypt.iter-time= xen={off,sparse,preallocated} block_size= crc={on,off} frame_size= \
        compression_level= checksum={on,off}
end

function __flatimg_mountpoints
    string match -r -g '^\S+ \S+ \S+ \S+ (\S+) .* - fuse.flatimg ' </proc/self/mountinfo
end

complete -c flatimg -s h -l help -d "Print a summary and exit"
complete -c flatimg -s V -l version -d "Print the version and exit"

set -l none "not __fish_seen_subcommand_from $commands"
complete -c flatimg -n $none -a mount -d "Show an image as a flat file"
complete -c flatimg -n $none -a umount -d "Unmount, and wait until the image is final"
complete -c flatimg -n $none -a attach -d "Show an image as a loop device"
complete -c flatimg -n $none -a detach -d "Take such a device away"
complete -c flatimg -n $none -a status -d "Show the live counters of a mount"
complete -c flatimg -n $none -a doctor -d "Show what this machine offers"
complete -c flatimg -n $none -a info -d "Tell what an image is"
complete -c flatimg -n $none -a map -d "Show where the bytes of a disk are"
complete -c flatimg -n $none -a check -d "Look for damage in an image, and repair it"
complete -c flatimg -n $none -a create -d "Make a new image"
complete -c flatimg -n $none -a compose -d "Make a composite disk of several images"
complete -c flatimg -n $none -a resize -d "Make the disk of an image larger or smaller"
complete -c flatimg -n $none -a compare -d "Say whether two images show the same disk"
complete -c flatimg -n $none -a convert -d "Write the disk of an image into a new image"
complete -c flatimg -n $none -a commit -d "Write an overlay into its backing file"
complete -c flatimg -n $none -a rebase -d "Give an overlay another backing file"
complete -c flatimg -n $none -a snapshot -d "List, take, apply or delete snapshots"

function __flatimg_option --inherit-variable commands
    # COMMANDS (one word) and what `complete` says of an option of theirs
    complete -c flatimg -n "__fish_seen_subcommand_from $argv[1]" $argv[2..]
end

__flatimg_option mount -s f -l foreground -d "Stay in the foreground until unmounted"
__flatimg_option attach -s P -l partscan -d "Find partitions"
__flatimg_option attach -s r -l read-only -d "Never write to the image"
__flatimg_option detach -x -a "(string match '/dev/loop*' /dev/loop[0-9]*)" -d "Loop device"
__flatimg_option "mount attach" -x -s o -a "(__flatimg_mount_words)" -d "Mount options"
__flatimg_option umount -s l -l lazy -d "Detach now, end when the last user has gone"
__flatimg_option "umount status" -a "(__flatimg_mountpoints)" -d Mountpoint

__flatimg_option "$on_image" -x -s f -l format -a $formats -d "Format of the image"
__flatimg_option "$on_image create compose" -x -l allow-path -a "(__fish_complete_directories)" -d "Directory whose files may be named"
__flatimg_option "$on_image create" -r -F -l key-file -d "Passphrase or key"
__flatimg_option "map compare convert" -r -F -l piece -d "Further piece of a split sparse image"
__flatimg_option "$reading" -s U -l force-share -d "Read without locks"
__flatimg_option status -x -l output -a "human json prometheus" -d "Form of the output"
__flatimg_option status -s w -l watch -d "Rates and latencies, again and again"
__flatimg_option status -x -l interval -d "Seconds between two looks"
__flatimg_option status -x -l count -d "How many times"
__flatimg_option "doctor info check snapshot" -x -l output -a "human json" -d "Form of the output"
__flatimg_option map -x -l output -a "human json svg" -d "Form of the output"
__flatimg_option "$progress" -s p -l progress -d "Show how far it has come"
__flatimg_option "$quiet" -s q -l quiet -d "Print less"

__flatimg_option info -l backing-chain -d "Also the images behind it"
__flatimg_option info -l explain -d "What stands in the way of mounting it"
__flatimg_option check -l data -d "Decode every compressed cluster as well"
__flatimg_option check -x -s r -l repair -a "leaks all" -d "Repair"
__flatimg_option create -x -s f -l format -a "raw qcow2 qcow" -d "Format of the new image"
__flatimg_option "create convert" -x -s o -a "(__flatimg_create_words)" -d "Options of the format"
__flatimg_option "create rebase" -r -F -s b -l backing -d "Backing file"
__flatimg_option "create rebase" -x -s F -l backing-format -a $formats -d "Format of the backing file"
__flatimg_option compose -r -F -s O -l output -d "The new disk"
__flatimg_option compose -l gpt -d "A partition for each part"
__flatimg_option resize -l shrink -d "The end of the disk may be cut off"
__flatimg_option compare -x -s F -a $formats -d "Format of the second image"
__flatimg_option compare -s s -l strict -d "Sizes and allocation must agree as well"
__flatimg_option convert -x -s O -l target-format -a "raw qcow2 qcow sparse zstd" -d "Format of the new image"
__flatimg_option convert -s c -l compress -d "Compress the clusters"
__flatimg_option convert -r -F -l target-key-file -d "Passphrase of the new image"
__flatimg_option convert -x -s T -l threads -d "How many threads"
__flatimg_option commit -s d -d "Leave the overlay as it is"
__flatimg_option rebase -s u -l unsafe -d "Change the name only"
__flatimg_option snapshot -s l -l list -d "List the snapshots"
__flatimg_option snapshot -x -s c -l create -d "Take a snapshot"
__flatimg_option snapshot -x -s a -l apply -d "Make the disk what it was"
__flatimg_option snapshot -x -s d -l delete -d "Delete a snapshot"
functions -e __flatimg_option
