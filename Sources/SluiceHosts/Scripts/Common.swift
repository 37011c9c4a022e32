/// The functions that every host script begins with. Only what dash and busybox's ash both know.
enum CommonScript {
  static let source = #"""
    set -u
    # Whoever may read a file besides the login user is said where it is made.
    umask 077
    LC_ALL=C
    PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    export LC_ALL PATH
    unset CDPATH ENV BASH_ENV 2>/dev/null || :
    say() { printf '%s\n' "$*"; }
    finish() { say end; exit 0; }
    # KEY: each line of stdin as a line of the answer
    lines() { while IFS= read -r text || [ -n "$text" ]; do printf '%s %s\n' "$1" "$text"; done; }
    # KIND MESSAGE REMEDY
    fail() {
      say "failed $1"
      printf '%s\n' "$2" | lines message
      [ -z "${3-}" ] || printf '%s\n' "$3" | lines remedy
      finish
    }
    nap() { sleep 0.05 2>/dev/null || sleep 1; }
    sync_files() { sync "$@" 2>/dev/null || sync; }
    # PATH: sets at to the nearest directory that is there
    nearest() {
      at=$1
      while [ ! -d "$at" ]; do
        at=${at%/*}
        [ -n "$at" ] || at=/
      done
    }
    # DIRECTORY: sets mounted to where its file system is mounted, and options to how
    look_at_mount() {
      mounted=$(df -P "$1" 2>/dev/null | awk 'NR == 2 { print $NF }')
      options=$(awk -v at="$mounted" '$2 == at { found = $4 } END { print found }' /proc/self/mounts 2>/dev/null)
    }
    # FILE PROBLEM [REMEDY]: tells what the file system says of itself, where that is the cause
    cannot_write() {
      nearest "$1"
      look_at_mount "$at"
      # One that has no size at all, as /proc, is not full.
      free=$(df -Pk "$at" 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4 }')
      nodes=$(df -Pi "$at" 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4 }')
      case $free in '' | *[!0-9]*) free=64 ;; esac
      case ",$options," in
        *,ro,*) fail host "the file system is read-only: $1 cannot be written" "see why (dmesg: a failing disk is made read-only), then mount -o remount,rw $mounted" ;;
      esac
      case $2 in *ermission*) free=64 nodes=1 ;; esac
      [ "$free" -ge 64 ] || fail host "the disk is full: $free KiB are free on $mounted, and $1 cannot be written" "make room on $mounted (df -h $mounted)"
      [ "$nodes" != 0 ] || fail host "no inodes are left on $mounted: $1 cannot be written" "remove files that nobody needs on $mounted (df -i $mounted)"
      fail host "$1 cannot be written by $(id -un): $2" "${3-}"
    }
    # FILE CONTENT [MODE]: whole or not at all, and durable; else problem says why
    try_put() {
      # A rename into a directory of that name would look like a success.
      if [ -d "$1" ]; then
        problem="$1 is a directory"
        return 1
      fi
      problem=$( { printf '%s' "$2" >"$1.new" && chmod "${3-600}" "$1.new" && sync_files "$1.new" && mv -f "$1.new" "$1"; } 2>&1) && return 0
      rm -f "$1.new" 2>/dev/null
      return 1
    }
    put() { try_put "$@" || cannot_write "$1" "$problem"; }
    # DESCRIPTOR FILE: waits half a minute at most. Where nothing can be written, what is there is locked as it is.
    lock() {
      if ( : >>"$2" ) 2>/dev/null; then
        eval "exec $1>>\"\$2\""
      elif ( : <"$2" ) 2>/dev/null; then
        eval "exec $1<\"\$2\""
      else
        cannot_write "$2" "$( ( : >>"$2" ) 2>&1)"
      fi
      tries=0
      until flock -n "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail host "another process has held $2 for half a minute" "see who: fuser -v $2"
        nap
      done
    }
    # The generation counts from the time it was first written, so that a host set up anew is not taken for one with old facts.
    read_generation() {
      generation=
      [ -f "$root/generation" ] && read -r generation <"$root/generation"
      case $generation in '' | *[!0-9]*) generation= ;; esac
    }
    raise_generation() {
      lock 9 "$root/lock"
      read_generation
      if [ -n "$generation" ]; then generation=$((generation + 1)); else generation=$(date +%s); fi
      put "$root/generation" "$generation
    "
      sync_files "$root"
      exec 9>&-
    }
    read_fence() {
      fence_owner= fence_epoch=0 fence_machine=% fence_since=0 fence_released=0
      if [ -f "$base/fence" ]; then
        read -r fence_owner fence_epoch fence_machine fence_since fence_released <"$base/fence" || :
        case $fence_epoch in '' | *[!0-9]*) fail host "$base/fence is damaged" "look at it; when no other Sluice acts on this service, remove it" ;; esac
      fi
    }
    write_fence() { try_write_fence "$@" || cannot_write "$base/fence" "$problem"; }
    try_write_fence() {
      try_put "$base/fence" "$owner $epoch $1 $2 $3
    " && sync_files "$base"
    }
    say_holder() { say "holder $fence_owner $fence_epoch $fence_machine $fence_since $fence_released"; }
    # Whether the host takes instances: word (0: nothing was said that can be read), word_drained, word_at, word_by
    read_cordon() {
      word=0 word_drained=0 word_at=0 word_by=%
      [ -f "$root/cordon" ] || return 0
      { read -r word word_drained word_at word_by <"$root/cordon"; } 2>/dev/null || :
      case "$word_drained$word$word_at" in *[!0-9]*) word= ;; esac
      case $word in '' | 0* | ???????????????*) word=0 ;; esac
      case $word_drained in 0 | 1) ;; *) word=0 ;; esac
      [ -n "$word_by" ] || word=0
      [ "$word" != 0 ] || word_drained=0
    }
    say_cordon() { [ "$word" = 0 ] || say "cordon $word $word_drained $word_at $word_by"; }
    # Two fleets with one root: what the other has is not touched.
    check_fleet() {
      theirs=
      if [ -f "$1/fleet" ]; then
        read -r theirs <"$1/fleet" || :
      elif [ -f "$1/record.json" ]; then
        theirs=$(sed -n 's/.*"fleet":"\([a-z0-9-]*\)".*/\1/p' "$1/record.json" 2>/dev/null | head -n 1)
      fi
      [ -z "$theirs" ] || [ "$theirs" = "$fleet" ] || fail host "$1 belongs to fleet $theirs" "give fleet $fleet another root on this host; if it is $theirs under a new name: rm $1/fleet"
    }
    # [lenient]: under the service's lock: refuses a lower epoch and another owner of the same one; a higher one stands from now on. A host that
    # can be written no more is left all the same (lenient): nothing new can begin there.
    enter() {
      [ -d "$base" ] || make_base
      check_fleet "$base"
      lock 8 "$base/lock"
      read_fence
      if [ "$epoch" -gt "$fence_epoch" ]; then
        try_write_fence % 0 0 || [ "${1-}" = lenient ] || cannot_write "$base/fence" "$problem"
      elif [ "$epoch" -lt "$fence_epoch" ] || [ "$owner" != "$fence_owner" ]; then
        say_holder
        fail fenced "a newer controller acts on this service"
      fi
    }
    leave() { exec 8>&-; }
    # A service's user has to get through to its release, its secrets and its instance; lists, records, fences and locks are not for it.
    make_base() {
      problem=$( { [ -d "$root" ] || ( umask 022 && mkdir -p "$root" ); } 2>&1 &&
        mkdir -p "$root/ports" "$base/releases" "$base/artifacts" "$base/instances" "$base/secrets" 2>&1) ||
        cannot_write "$base" "$problem" "make it writable for the login user, or set ssh.become: sudo"
      [ -w "$base" ] || cannot_write "$base" "no write permission" "make it writable for the login user, or set ssh.become: sudo"
      check_fleet "$base"
      mend_modes
      [ -f "$base/fleet" ] || put "$base/fleet" "$fleet
    "
    }
    # Sluice 0.1 let everybody on the host read and lock these.
    mend_modes() {
      chmod 711 "$base" "$base/releases" "$base/instances" "$base/secrets" 2>/dev/null
      chmod go-rwx "$root/ports" "$root/lock" "$root/generation" "$base/artifacts" "$base/lock" "$base/fence" "$base/fence.former" "$base/record.json" 2>/dev/null
      :
    }
    # Local addresses and inodes of all listening TCP sockets
    sockets() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print $2, $10 }'; }
    # Ports of FROM..TO that something listens on at the service address or at every address, with the sockets' inodes.
    listening() {
      sockets | while read -r local inode; do
        case $local in
          00000000:* | 00000000000000000000000000000000:* | $hex:* | 0000000000000000FFFF0000$hex:*)
            at=$((0x${local##*:}))
            [ "$at" -lt "$1" ] || [ "$at" -gt "$2" ] || say "$at $inode"
            ;;
        esac
      done
    }
    is_listening() { [ -n "$(listening "$1" "$1")" ]; }
    # PORT: who listens there, as far as this user may see
    holder_of() {
      listening "$1" "$1" | while read -r at inode; do
        found=
        for process in /proc/[0-9]*; do
          case $(ls -l "$process/fd" 2>/dev/null) in
            *"socket:[$inode]"*)
              found="process ${process#/proc/} ($(tr '\0' ' ' <"$process/cmdline" 2>/dev/null | cut -c 1-120))"
              break
              ;;
          esac
        done
        say "${found:-a process of another user}"
        break
      done
    }
    # PID: sets ticks to its start time and session to its session; fails when there is no such live process
    look_at() {
      stat=
      { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
      set -- ${stat##*) }
      case $1 in Z | X) return 1 ;; esac
      session=$4
      ticks=${20}
    }
    boot_id() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || say unknown; }
    units=/etc/systemd/system
    wanted=$units/multi-user.target.wants
    uses_systemd() { [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemctl >/dev/null 2>&1; }
    # NUMBER: sets dir and unit, reads the instance's settings; fails when it has none. One that Sluice 0.1 started keeps its unit's name.
    load_instance() {
      dir=$base/instances/$1
      unit=sluice-$service-$1.service
      [ ! -f "$dir/unit" ] || read -r unit <"$dir/unit"
      unit_mark="EnvironmentFile=$dir/env" unit_shown="EnvironmentFiles=$dir/env (ignore_errors=no)"
      i_port=0 i_runtime= i_release= i_secrets= i_signal=TERM i_kill_after=10000 i_pre_stop= i_files=/ i_user= i_arguments= i_address= i_named=
      [ -f "$dir/settings" ] || return 1
      . "$dir/settings"
      [ ! -f "$dir/runtime" ] || read -r i_runtime <"$dir/runtime"
    }
    # Whether the unit of that name is the loaded instance's own: another fleet's, or one made by hand, is never touched.
    owns_unit() {
      if [ -e "$units/$unit" ]; then
        grep -qxF "$unit_mark" "$units/$unit" 2>/dev/null
      else
        # Of a file that was removed systemd may remember no more than what runs, and that is known by where it runs.
        systemctl show -p EnvironmentFiles -p WorkingDirectory "$unit" 2>/dev/null | grep -qxF "$unit_shown" && return 0
        theirs=$(readlink "/proc/$(systemctl show -p MainPID --value "$unit" 2>/dev/null)/cwd" 2>/dev/null) || return 1
        case $theirs in "$base" | "$base"/*) ;; *) return 1 ;; esac
      fi
    }
    # What systemd knows of the unit, as u_ActiveState and so on
    look_at_unit() {
      u_ActiveState= u_SubState= u_Restart= u_MainPID=0 u_ExecMainCode=0 u_ExecMainStatus=0 u_ExecMainExitTimestampMonotonic=0 u_NRestarts=0
      eval "$(systemctl show -p ActiveState -p SubState -p Restart -p MainPID -p ExecMainCode -p ExecMainStatus \
        -p ExecMainExitTimestampMonotonic -p NRestarts "$unit" 2>/dev/null | sed -n 's/^\([A-Za-z]*=[a-z0-9-]*\)$/u_\1/p')"
    }
    # Of the loaded instance: whether its supervisor lives. Sets supervisor to its process.
    supervised() {
      supervisor=
      [ -f "$dir/pid" ] || return 1
      read -r known_pid known_ticks known_boot <"$dir/pid" || return 1
      [ "$known_boot" = "$(boot_id)" ] || return 1
      supervisor=$known_pid
      look_at "$known_pid" && [ "$ticks" = "$known_ticks" ]
    }
    # Whether something keeps the loaded instance running
    is_running() {
      case $i_runtime in
        systemd)
          owns_unit || return 1
          look_at_unit
          case $u_ActiveState in active | activating | reloading) return 0 ;; esac
          return 1
          ;;
        process) supervised ;;
        *) return 1 ;;
      esac
    }
    # The last lines the loaded instance wrote
    say_log() {
      case $i_runtime in
        systemd) journalctl -q -u "$unit" -n 25 -o cat --no-pager 2>/dev/null | lines log ;;
        *) [ ! -f "$dir/log" ] || tail -n 25 "$dir/log" | cut -c 1-2000 | lines log ;;
      esac
    }
    say sluice/1
    """#
}
