/// The functions that every host script begins with. Only what dash and busybox's ash both know.
enum CommonScript {
  static let source = #"""
    set -u
    umask 022
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
    cannot_write() { fail host "$1 cannot be written by $(id -un): $2" "${3-}"; }
    # FILE CONTENT: whole or not at all, and durable
    put() {
      problem=$( { printf '%s' "$2" >"$1.new" && sync_files "$1.new" && mv -f "$1.new" "$1"; } 2>&1) || cannot_write "$1" "$problem"
    }
    # DESCRIPTOR FILE: waits half a minute at most
    lock() {
      eval "exec $1>>\"\$2\""
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
    write_fence() {
      put "$base/fence" "$owner $epoch $1 $2 $3
    "
      sync_files "$base"
    }
    say_holder() { say "holder $fence_owner $fence_epoch $fence_machine $fence_since $fence_released"; }
    # Under the service's lock: refuses a lower epoch and another owner of the same one; a higher one stands from now on.
    enter() {
      [ -d "$base" ] || make_base
      lock 8 "$base/lock"
      read_fence
      if [ "$epoch" -gt "$fence_epoch" ]; then
        write_fence % 0 0
      elif [ "$epoch" -lt "$fence_epoch" ] || [ "$owner" != "$fence_owner" ]; then
        say_holder
        fail fenced "a newer controller acts on this service"
      fi
    }
    leave() { exec 8>&-; }
    make_base() {
      problem=$(mkdir -p "$root/ports" "$base/releases" "$base/artifacts" "$base/instances" 2>&1 && mkdir -p -m 711 "$base/secrets" 2>&1) ||
        cannot_write "$root" "$problem" "make it writable for the login user, or set ssh.become: sudo"
      [ -w "$base" ] || cannot_write "$base" "no write permission" "make it writable for the login user, or set ssh.become: sudo"
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
    uses_systemd() { [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemctl >/dev/null 2>&1; }
    # NUMBER: sets dir and unit, reads the instance's settings; fails when it has none
    load_instance() {
      dir=$base/instances/$1
      unit=sluice-$service-$1.service
      i_port=0 i_runtime= i_release= i_secrets= i_signal=TERM i_kill_after=10000 i_pre_stop= i_files=/ i_user= i_arguments= i_address=
      [ -f "$dir/settings" ] || return 1
      . "$dir/settings"
      [ ! -f "$dir/runtime" ] || read -r i_runtime <"$dir/runtime"
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
          case $(systemctl show -p ActiveState --value "$unit" 2>/dev/null) in active | activating | reloading) return 0 ;; esac
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
