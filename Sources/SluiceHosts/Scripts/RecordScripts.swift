/// What a host keeps for controllers: the record's copy, and the fence's end.
enum RecordScripts {
  /// An operator checks a copy with `ssh-keygen -Y verify -n sluice-record -s record.json.sig <record.json`.
  ///
  /// Variables: root, base, owner, epoch, revision (epoch and version, two words), content, signature.
  static let replicate = #"""
    enter
    held_epoch=0 held_version=0
    if [ -f "$base/record.json" ]; then
      IFS= read -r first <"$base/record.json" || :
      first=${first#'{"revision":"'}
      first=${first%%'"'*}
      held_epoch=${first%%.*} held_version=${first#*.}
      # Nobody has acted with a higher epoch than the fence that stands: what says so is nobody's.
      case $held_epoch$held_version in '' | *[!0-9]*) held_epoch=0 held_version=0 ;; esac
      [ "${#held_epoch}" -le 15 ] && [ "${#held_version}" -le 15 ] && [ "$held_epoch" -le "$epoch" ] || held_epoch=0 held_version=0
    fi
    set -- $revision
    if [ "$1" -gt "$held_epoch" ] || { [ "$1" -eq "$held_epoch" ] && [ "$2" -gt "$held_version" ]; }; then
      put "$base/record.json.sig" "$signature
    "
      put "$base/record.json" "$content"
      sync_files "$base"
    fi
    say done
    finish
    """#

  /// Variables: root, base.
  static let fence = #"""
    if [ -f "$base/fence" ]; then
      head -c 300 "$base/fence" | lines fence
      fence_owner= fence_epoch= fence_machine= fence_since= fence_released=
      read -r fence_owner fence_epoch fence_machine fence_since fence_released <"$base/fence" || :
      say_holder
    fi
    finish
    """#

  /// Variables: root, base, owner, epoch, machine, since. Nothing is asked of what stands.
  static let resetFence = #"""
    if [ -d "$base" ]; then
      lock 8 "$base/lock"
      write_fence "$machine" "$since" 1
      rm -f "$base/fence.former"
      sync_files "$base"
    fi
    say done
    finish
    """#

  /// Variables: root, base, service, owner, epoch.
  static let withdraw = #"""
    lock 8 "$base/lock"
    read_fence
    if [ "$owner" = "$fence_owner" ] && [ "$epoch" = "$fence_epoch" ]; then
      if [ -f "$base/fence.former" ]; then mv -f "$base/fence.former" "$base/fence"; else rm -f "$base/fence"; fi
      sync_files "$base"
    fi
    say done
    finish
    """#

  /// Variables: root, base, service, owner, epoch, keep (digests), packed (how many of them keep their packed artifact).
  static let release = #"""
    # What nobody needs goes first: it may be what fills the disk.
    enter lenient
    used= versions= removed=
    for each in "$base"/instances/*/; do
      [ -d "$each" ] || continue
      each=${each%/}
      if load_instance "${each##*/}"; then
        used="$used $i_release"
        versions="$versions $i_secrets"
      else
        rm -rf "$each"
      fi
    done
    count=0 artifacts=
    for each in $keep; do
      count=$((count + 1))
      [ "$count" -gt "$packed" ] || [ ! -f "$base/releases/$each/artifact" ] || artifacts="$artifacts $(cat "$base/releases/$each/artifact")"
    done
    for each in "$base"/releases/*/ "$base"/releases/.*.new/; do
      [ -d "$each" ] || continue
      each=${each%/}
      case " $keep $used " in *" ${each##*/} "*) continue ;; esac
      chmod -R u+w "$each"
      mv "$each" "$base/releases/.gone.new" 2>/dev/null && each=$base/releases/.gone.new
      rm -rf "$each"
      removed=1
    done
    for each in "$base"/attempts/*/; do
      [ -d "$each" ] || continue
      each=${each%/}
      name=${each##*/}
      case " $keep" in *" ${name%-*}"*) continue ;; esac
      rm -rf "$each"
    done
    # Of the runs of one release's task the last tells how it ended.
    before=
    for each in $(ls "$base/attempts" 2>/dev/null | sort -t - -k 1,1 -k 2,2n); do
      if [ "${before%-*}" = "${each%-*}" ] && [ -f "$base/attempts/$before/exit" ]; then rm -rf "$base/attempts/$before"; fi
      before=$each
    done
    rm -f "$base"/releases/.*.json "$base"/artifacts/lock.*
    for each in "$base"/artifacts/*.tar.gz "$base"/artifacts/*.part; do
      [ -f "$each" ] || continue
      name=${each##*/}
      case " $artifacts " in *" ${name%.tar.gz} "*) continue ;; esac
      rm -f "$each"
    done
    for each in "$base"/secrets/*; do
      [ -f "$each" ] || continue
      case " $versions " in *" ${each##*/} "*) continue ;; esac
      rm -f "$each"
    done
    read_fence
    write_fence "$fence_machine" "$fence_since" 1
    [ -z "$removed" ] || raise_generation
    say done
    finish
    """#
}
