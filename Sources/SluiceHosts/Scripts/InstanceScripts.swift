/// Starting, watching and stopping one instance.
enum InstanceScripts {
  /// What both runtimes share: processes of an instance, time limits, removal.
  static let common = #"""
    # Sets up to hundredths of a second since boot
    now() {
      read -r up rest </proc/uptime
      up=${up%.*}${up#*.}
    }
    # Live processes of the loaded instance but for its supervisor: by session, and by the mark that all of them inherit.
    members() {
      {
        [ -z "$supervisor" ] || cat /proc/[0-9]*/stat 2>/dev/null |
          awk -v session="$supervisor" '{ pid = $1; sub(/.*\) /, ""); if ($4 == session && $1 != "Z" && pid != session) print pid }'
        grep -lzxF "SLUICE_INSTANCE=$dir" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/environ$||'
      } | sort -un
    }
    # MILLISECONDS COMMAND…: runs it with its output in $dir/hook.log; status 124 when it was cut off
    limited() {
      now
      until_then=$((up + $1 / 10))
      shift
      setsid "$@" </dev/null >"$dir/hook.log" 2>&1 8>&- 9>&- &
      hook=$!
      while look_at "$hook"; do
        now
        if [ "$up" -ge "$until_then" ]; then
          kill -KILL "-$hook" 2>/dev/null || kill -KILL "$hook" 2>/dev/null
          wait "$hook" 2>/dev/null
          return 124
        fi
        nap
      done
      wait "$hook" 2>/dev/null
    }
    # Sets killed to 1 where the signal did not end all of them in time. Fails for a process that SIGKILL does not end.
    end_processes() {
      supervised || :
      # A supervisor that cannot be told would start the program again.
      ( : >"$dir/stopping" ) 2>/dev/null || [ -z "$supervisor" ] || kill -KILL "$supervisor" 2>/dev/null
      signalled=' '
      now
      until_then=$((up + i_kill_after / 10))
      while list=$(members) && [ -n "$list" ]; do
        for each in $list; do
          case $signalled in *" $each "*) continue ;; esac
          kill -s "$i_signal" "$each" 2>/dev/null
          signalled="$signalled$each "
        done
        now
        if [ "$up" -ge "$until_then" ]; then
          killed=1
          break
        fi
        nap
      done
      now
      until_then=$((up + 1000))
      while list=$(members) && [ -n "$list" ]; do
        kill -KILL $list 2>/dev/null
        now
        [ "$up" -lt "$until_then" ] || fail stop "these processes of $service/$number do not end on SIGKILL:" $list "they wait for the kernel: look at the host's disks and mounts"
        nap
      done
      now
      until_then=$((up + 100))
      while supervised; do
        now
        [ "$up" -lt "$until_then" ] || kill -KILL "$supervisor" 2>/dev/null
        nap
      done
      if [ -f "$dir/rotator" ]; then
        read -r each known_ticks <"$dir/rotator" || each=0
        if look_at "$each" && [ "$ticks" = "$known_ticks" ]; then kill -KILL "-$each" 2>/dev/null; fi
      fi
    }
    # The supervisor must not be a background job of this shell: those are started with SIGINT and SIGQUIT ignored, for good.
    # So a shell in between waits for it, and the supervisor ends that shell once it stands.
    start_process() {
      rm -f "$dir/stopping" "$dir/exit" "$dir/pid" "$dir/restarts" "$dir/pausing" "$dir/background"
      ( exec 8>&- 9>&-; cd /; sh -c 'setsid sh "$1/supervise" "$1" "$$"; :' sluice "$dir" </dev/null >/dev/null 2>&1; : ) 2>/dev/null
      tries=0
      until [ -s "$dir/pid" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || give_up host "the instance's supervisor did not start"
        nap
      done
    }
    remove_instance() {
      if uses_systemd && [ -e "$units/$unit" ] && owns_unit; then
        rm -f "$wanted/$unit" "$units/$unit"
        systemctl reset-failed "$unit" 2>/dev/null
        # After a boot a target holds on to the unit, and systemd would start it again from memory: it is told to forget it.
        [ "$(systemctl show -p LoadState --value "$unit" 2>/dev/null)" = not-found ] || systemctl daemon-reload 2>/dev/null
      fi
      rm -rf "$dir"
      lock 9 "$root/lock"
      for each in "$root"/ports/*; do
        [ -f "$each" ] || continue
        read -r holder <"$each" || holder=
        [ "$holder" != "$service $number" ] || rm -f "$each"
      done
      exec 9>&-
    }

    """#

  /// Variables: root, base, service, number, hex. Says whether it runs, how often it was restarted, how it last ended, its log's tail; `direct`
  /// where the program itself listens on the port and not a process that it has started; `age`, how long the program has run, in milliseconds.
  static let liveness =
    InstanceState.source + #"""
      # PORT PROCESS: whether that process listens there itself
      listens_itself() {
        listening "$1" "$1" | while read -r at inode; do
          case $(ls -l "/proc/$2/fd" 2>/dev/null) in *"socket:[$inode]"*)
            say direct
            break
            ;;
          esac
        done
      }
      # Sets main to the program's process: what the supervisor has started and waits for
      find_main() {
        main=0
        case $i_runtime in
          systemd) main=$u_MainPID ;;
          process)
            [ -n "$supervisor" ] || return
            rotator=0
            [ ! -f "$dir/rotator" ] || read -r rotator rest <"$dir/rotator" || :
            main=$(cat /proc/[0-9]*/stat 2>/dev/null |
              awk -v parent="$supervisor" -v not="$rotator" '{ pid = $1; sub(/.*\) /, ""); if ($2 == parent && $1 != "Z" && pid != not) print pid }' | head -n 1)
            ;;
        esac
      }
      if load_instance "$number"; then
        supervisor= u_MainPID=0
        look_at_instance
        say "running $s_running"
        say "restarts $s_restarts"
        case $s_status/$s_signal in
          -/-)
            if [ -f "$dir/exit" ] && read -r kind value <"$dir/exit"; then
              case $kind in
                exited) say "status $value" ;;
                killed | dumped) say "status signal $value" ;;
                *) say "status $kind" ;;
              esac
            fi
            ;;
          -/*) say "status signal $s_signal" ;;
          *) say "status $s_status" ;;
        esac
        [ "$s_cause" != background ] || say background
        if [ -z "$s_cause" ]; then
          find_main
          if look_at "${main:-0}"; then
            read -r up rest </proc/uptime
            say "age $(((${up%.*}${up#*.} - ticks) * 10))"
            [ "$i_port" = 0 ] || listens_itself "$i_port" "$main"
          fi
        fi
        say_log
      else
        say "running 0"
        say gone
      fi
      finish
      """#

  /// Variables: root, base, service, number, owner, epoch, words, interval, timeout, rise, time (all in milliseconds). Says `ready`, or how the check last ended.
  static let probe =
    common + #"""
      load_instance "$number" || fail start "$service/$number is not on this host"
      risen=0
      now
      end=$((up + time / 10))
      while :; do
        eval "limited $timeout sh \"\$dir/launch\" \"\$dir\" $words"
        status=$?
        if [ "$status" = 0 ]; then risen=$((risen + 1)); else risen=0; fi
        if [ "$risen" -ge "$rise" ]; then
          say ready
          finish
        fi
        now
        if [ "$up" -ge "$end" ]; then break; fi
        sleep "$pause" 2>/dev/null || sleep 1
      done
      say "risen $risen"
      say "status $status"
      tail -n 10 "$dir/hook.log" | lines output
      finish
      """#
}
