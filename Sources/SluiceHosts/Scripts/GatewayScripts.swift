/// Keeping `sluice-gateway` installed and running on a host.
enum GatewayScripts {
  /// Variables: root, base (the gateway's directory), name, runtime (auto or process), digest, configuration, settings, unitfile, launch, supervise, restarts.
  /// Says `socket`, or the `offset` from which the executable has to be uploaded, with the `architecture`.
  static let ensure =
    InstanceScripts.common + place + #"""
      give_up() {
        say_log
        fail "$@"
      }
      start_systemd() {
        put "$units/$unit" "$unitfile"
        mkdir -p "$wanted" && ln -sf "$units/$unit" "$wanted/$unit" || give_up gateway "the unit could not be enabled"
        systemctl daemon-reload
        systemctl reset-failed "$unit" 2>/dev/null
        problem=$(systemctl start "$unit" 2>&1) || give_up gateway "systemd could not start $unit: $problem"
      }
      problem=$(mkdir -p "$dir/bin" 2>&1) || cannot_write "$dir" "$problem" "make it writable for the login user, or set ssh.become: sudo"
      lock 8 "$dir/lock"
      program=$dir/bin/$digest
      say "architecture $(uname -m)"
      if [ "$runtime" = auto ]; then
        if uses_systemd; then runtime=systemd; else runtime=process; fi
      fi
      differs=
      [ "$(cat "$dir/version" 2>/dev/null)" = "$digest" ] || differs="$differs version"
      [ "$(cat "$dir/config.json" 2>/dev/null)" = "$configuration" ] || differs="$differs configuration"
      [ "$i_runtime" = "$runtime" ] || differs="$differs runtime"
      if [ "$runtime" = systemd ] && [ "$(cat "$units/$unit" 2>/dev/null)" != "${unitfile%
      }" ]; then differs="$differs unit"; fi
      # One that runs has users: only a command that says so restarts it.
      if [ -n "$differs" ] && [ -z "$restarts" ] && is_running && [ -S "$dir/admin.sock" ]; then
        say "differs$differs"
        say "runtime $i_runtime"
        say "socket $dir/admin.sock"
        finish
      fi
      if [ ! -x "$program" ]; then
        offset=0
        [ ! -f "$program.part" ] || offset=$(($(wc -c <"$program.part")))
        say "offset $offset"
        finish
      fi
      started=
      if [ -n "$differs" ] || ! is_running; then
        say changed
        end_gateway
        put "$dir/settings" "$settings"
        put "$dir/launch" "$launch"
        put "$dir/supervise" "$supervise"
        put "$dir/program" "/bin/sh
      "
        put "$dir/env" ""
        put "$dir/config.json" "$configuration"
        put "$dir/runtime" "$runtime
      "
        put "$dir/version" "$digest
      "
        i_runtime=$runtime
        "start_$runtime"
        started=1
        for each in "$dir"/bin/*; do [ "$each" = "$program" ] || rm -f "$each"; done
      fi
      now
      until_then=$((up + 1500))
      until [ -S "$dir/admin.sock" ]; do
        now
        [ "$up" -lt "$until_then" ] || give_up gateway "sluice-gateway was started and made no admin socket within 15 s" "its last words are above"
        [ -z "$started" ] || [ ! -f "$dir/exit" ] || give_up gateway "sluice-gateway ended as soon as it was started: exit status $(cat "$dir/exit")" "its last words are above: is its listen address taken?"
        nap
      done
      say "runtime $runtime"
      say "socket $dir/admin.sock"
      finish
      """#

  /// stdin: the executable from `offset` on. Variables: root, base, name, digest, size, offset. Says `offset` where the file has grown meanwhile.
  static let upload = #"""
    part=$base/bin/$digest.part
    eval "exec 7>>\"\$base/lock.upload\""
    flock -n 7 || fail gateway "another upload of sluice-gateway is under way" "it ends by itself; try again"
    here=0
    [ ! -f "$part" ] || here=$(($(wc -c <"$part")))
    if [ "$here" != "$offset" ]; then
      say "offset $here"
      finish
    fi
    problem=$(cat 2>&1 >>"$part") || fail host "sluice-gateway could not be written to $part: $problem" "make room on the file system of $root"
    here=$(($(wc -c <"$part")))
    [ "$here" = "$size" ] || fail gateway "$here of $size bytes of sluice-gateway arrived"
    set -- $(sha256sum <"$part")
    if [ "$1" != "$digest" ]; then
      rm -f "$part"
      fail gateway "sluice-gateway arrived damaged: its SHA-256 is $1, not $digest" "try again; the damaged copy is removed"
    fi
    chmod 755 "$part"
    sync_files "$part"
    mv -f "$part" "$base/bin/$digest"
    sync_files "$base/bin"
    say done
    finish
    """#

  /// Variables: root, base, name. Stops it and removes all it had.
  static let remove =
    InstanceScripts.common + place + #"""
      if [ -d "$dir" ]; then
        lock 8 "$dir/lock"
        end_gateway
        if uses_systemd && [ -e "$units/$unit" ]; then
          rm -f "$units/$unit"
          systemctl daemon-reload
        fi
        rm -rf "$dir"
      fi
      say done
      finish
      """#

  private static let place = #"""
    dir=$base
    service=gateway
    number=$name
    unit=sluice-gateway-$name.service
    i_runtime= i_signal=TERM i_kill_after=40000
    [ ! -f "$dir/runtime" ] || read -r i_runtime <"$dir/runtime"
    end_gateway() {
      killed=0
      case $i_runtime in
        systemd)
          rm -f "$wanted/$unit"
          problem=$(systemctl stop "$unit" 2>&1) || case $problem in *"not loaded"* | *"not found"*) ;; *) fail gateway "systemd could not stop $unit: $problem" ;; esac
          ;;
        process) end_processes ;;
      esac
      rm -f "$dir/admin.sock"
    }

    """#
}
