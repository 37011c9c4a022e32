/// Keeping `sluice-gateway` installed and running on a host.
enum GatewayScripts {
  /// Variables: root, base (the gateway's directory), name, fleet, tag, account, runtime (auto or process), digest, configuration, settings, unitfile, launch,
  /// supervise, restarts.
  /// Says `socket`, or the `offset` from which the executable has to be uploaded, with the `architecture`.
  static let ensure =
    InstanceScripts.common + place + change + #"""
      problem=$( { [ -d "$root" ] || ( umask 022 && mkdir -p "$root" ); } 2>&1 && mkdir -p "$dir/bin" 2>&1) ||
        cannot_write "$dir" "$problem" "make it writable for the login user, or set ssh.become: sudo"
      lock 8 "$dir/lock"
      check_fleet "$dir"
      chmod 711 "$root/gateway" "$dir" 2>/dev/null
      chmod go-rwx "$dir/lock" 2>/dev/null
      [ -f "$dir/fleet" ] || put "$dir/fleet" "$fleet
      "
      program=$dir/bin/$digest
      say "architecture $(uname -m)"
      if [ "$runtime" = auto ]; then
        if uses_systemd; then runtime=systemd; else runtime=process; fi
      fi
      differs=
      [ "$(cat "$dir/version" 2>/dev/null)" = "$digest" ] || differs="$differs version"
      [ "$(cat "$dir/config.json" 2>/dev/null)" = "$configuration" ] || differs="$differs configuration"
      [ "$i_runtime" = "$runtime" ] || differs="$differs runtime"
      if [ "$runtime" = systemd ] && { [ "$unit" != "$own_unit" ] || [ "$(cat "$units/$unit" 2>/dev/null)" != "${unitfile%
      }" ]; }; then differs="$differs unit"; fi
      # One that runs has users: only a command that says so restarts it.
      if [ -n "$differs" ] && [ -z "$restarts" ] && is_running && [ -S "$dir/admin.sock" ]; then
        say "differs$differs"
        say "runtime $i_runtime"
        say "socket $dir/admin.sock"
        finish
      fi
      look_at_mount "$dir"
      case ",$options," in *,noexec,*)
        fail gateway "$mounted is mounted noexec: sluice-gateway below $root cannot be executed" "mount it without noexec, or give this host another root" ;;
      esac
      if [ ! -x "$program" ]; then
        offset=0
        [ ! -f "$program.part" ] || offset=$(($(wc -c <"$program.part")))
        say "offset $offset"
        finish
      fi
      started=
      if [ -n "$differs" ] || ! is_running; then
        say changed
        # What can fail fails before users are refused, and they are refused until the new one listens.
        write_next
        "prepare_$runtime"
        keep_former
        end_gateway
        install_next
        "start_$runtime"
        started=1
      fi
      now
      until_then=$((up + 1500))
      until [ -S "$dir/admin.sock" ]; do
        now
        [ "$up" -lt "$until_then" ] || give_up gateway "sluice-gateway was started and made no admin socket within 15 s" "its last words are above"
        if [ -n "$started" ] && [ "$runtime" = systemd ]; then
          look_at_unit
          [ "$u_NRestarts" -lt 3 ] || give_up gateway "sluice-gateway ends as soon as it is started" "its last words are above: is its listen address taken?"
        fi
        [ -z "$started" ] || [ ! -f "$dir/exit" ] || give_up gateway "sluice-gateway ended as soon as it was started: exit status $(cat "$dir/exit")" "its last words are above: is its listen address taken?"
        nap
      done
      rm -rf "$dir/former"
      for each in "$dir"/bin/*; do [ "$each" = "$program" ] || rm -f "$each"; done
      say "runtime $runtime"
      say "socket $dir/admin.sock"
      finish
      """#

  /// Replacing one gateway by another. What can be done before is done before: users are refused between `end_gateway` and the new one's first listen.
  private static let change = #"""
    # The gateway's own user: nobody else's files are its, the kernel shares its ports with nobody, and what it has outlives a reboot.
    make_account() {
      id -u "$account" >/dev/null 2>&1 && return 0
      useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$account" >/dev/null 2>&1 ||
        { addgroup -S "$account" && adduser -S -D -H -h /nonexistent -s /sbin/nologin -G "$account" "$account"; } >/dev/null 2>&1
      # Another install may have made it at the same moment.
      tries=0
      until id -u "$account" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 40 ] || fail gateway "the user $account, as whom the gateway runs, cannot be made on this host" "make it: useradd --system --user-group $account"
        nap
      done
    }
    prepare_systemd() {
      unit=$own_unit
      if [ -e "$units/$unit" ] && ! owns_unit; then
        fail gateway "the unit $unit exists on this host and is not this gateway's: it is left alone" "look at it: systemctl cat $unit"
      fi
      make_account
      put "$units/$unit" "$unitfile" 644
      mkdir -p "$wanted" && ln -sf "$units/$unit" "$wanted/$unit" || fail gateway "the unit $unit could not be enabled"
      systemctl daemon-reload
      unit=$old_unit
    }
    prepare_process() { :; }
    # Until the new one stands, the way back to the one before is kept.
    keep_former() {
      rm -rf "$dir/former"
      [ -f "$dir/version" ] && [ -x "$dir/bin/$(cat "$dir/version")" ] && [ -n "$i_runtime" ] || return 0
      mkdir "$dir/former" || return 0
      for each in settings launch supervise program env config.json runtime version unit; do [ ! -f "$dir/$each" ] || cp -p "$dir/$each" "$dir/former/$each"; done
      [ "$i_runtime" != systemd ] || owns_unit || rm -rf "$dir/former"
    }
    write_next() {
      next=$dir/next
      rm -rf "$next"
      problem=$(mkdir -p "$next" "$dir/state" "$dir/run" 2>&1) || cannot_write "$next" "$problem"
      put "$next/settings" "$settings"
      put "$next/launch" "$launch"
      put "$next/supervise" "$supervise"
      put "$next/program" "/bin/sh
    "
      put "$next/env" ""
      # The gateway reads it.
      put "$next/config.json" "$configuration" 644
      put "$next/runtime" "$runtime
    "
      put "$next/version" "$digest
    "
      [ "$runtime" != systemd ] || put "$next/unit" "$own_unit
    "
      chmod 711 "$dir/bin"
    }
    install_next() {
      rm -f "$dir/unit"
      mv -f "$next"/* "$dir/" && rmdir "$next" || fail gateway "the files in $next could not be moved to $dir"
      i_runtime=$runtime
      [ "$runtime" != systemd ] || unit=$own_unit
      # What one that ran as root or as the login user has left is the new one's.
      if [ "$runtime" = systemd ]; then to=$account:; else to=$(id -u):$(id -g); fi
      chown -Rh "$to" "$dir/state" "$dir/run" && chmod 700 "$dir/state" "$dir/run" || give_up gateway "the gateway's state cannot be handed over to ${to%:}"
      # Where the socket is looked for, and where a gateway of Sluice 0.1 made it.
      ln -sfn run/admin.sock "$dir/admin.sock"
    }
    start_systemd() {
      systemctl reset-failed "$unit" 2>/dev/null
      problem=$(systemctl start "$unit" 2>&1) || give_up gateway "systemd could not start $unit: $problem"
    }
    # A first one that does not start leaves no unit that would try for ever; one that follows another gives way to it again.
    give_up() {
      say_log
      end_gateway
      if [ "$runtime" = systemd ]; then
        rm -f "$wanted/$unit" "$units/$unit"
        systemctl daemon-reload
      fi
      if [ -d "$dir/former" ]; then
        read -r i_runtime <"$dir/former/runtime"
        rm -f "$dir/unit"
        cp -p "$dir"/former/* "$dir/"
        rm -rf "$dir/former"
        unit=$old_unit
        if [ "$i_runtime" = systemd ]; then
          put "$units/$unit" "$former_unit
    " 644
          ln -sf "$units/$unit" "$wanted/$unit"
          systemctl daemon-reload
          systemctl start "$unit" >/dev/null 2>&1
        else
          give_up() { :; }
          start_process
        fi
        [ ! -d "$dir/run" ] || case $(cat "$dir/config.json") in *'/run/admin.sock"'*) ln -sfn run/admin.sock "$dir/admin.sock" ;; esac
        set -- "$1" "$2; the one before was started again" "${3-}"
      fi
      fail "$@"
    }

    """#

  /// stdin: the executable from `offset` on. Variables: root, base, name, digest, size, offset. Says `offset` where the file has grown meanwhile.
  static let upload = #"""
    part=$base/bin/$digest.part
    ( : >>"$base/lock.upload" ) 2>/dev/null || cannot_write "$base/lock.upload" "it cannot be opened"
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

  /// Variables: root, base, name, fleet, tag, account. Stops it and removes all it had.
  static let remove =
    InstanceScripts.common + place + #"""
      if [ -d "$dir" ]; then
        lock 8 "$dir/lock"
        check_fleet "$dir"
        end_gateway
        if uses_systemd && [ -e "$units/$unit" ] && owns_unit; then
          rm -f "$wanted/$unit" "$units/$unit"
          systemctl daemon-reload
        fi
        rm -rf "$dir"
        if uses_systemd && id -u "$account" >/dev/null 2>&1; then { userdel "$account" || deluser "$account"; } >/dev/null 2>&1; fi
      fi
      say done
      finish
      """#

  private static let place = #"""
    dir=$base
    service=gateway
    number=$name
    i_runtime= i_signal=TERM i_kill_after=40000
    [ ! -f "$dir/runtime" ] || read -r i_runtime <"$dir/runtime"
    own_unit=sluice-gateway-$name-$fleet-$tag.service
    unit=$own_unit
    # One that Sluice 0.1 made has its unit under this name until it is upgraded.
    if [ -f "$dir/unit" ]; then read -r unit <"$dir/unit"; elif [ "$i_runtime" = systemd ]; then unit=sluice-gateway-$name.service; fi
    old_unit=$unit
    unit_mark="WorkingDirectory=$dir" unit_shown="WorkingDirectory=$dir"
    former_unit=$(cat "$units/$unit" 2>/dev/null)
    # What has the unit's name and is not this gateway's goes on.
    end_gateway() {
      killed=0
      case $i_runtime in
        systemd)
          if owns_unit; then
            problem=$(systemctl stop "$unit" 2>&1) || case $problem in *"not loaded"* | *"not found"*) ;; *) fail gateway "systemd could not stop $unit: $problem" ;; esac
            if [ "$unit" != "$own_unit" ]; then rm -f "$wanted/$unit" "$units/$unit"; fi
          fi
          ;;
        process) end_processes ;;
      esac
      rm -f "$dir/admin.sock" "$dir/run/admin.sock"
    }

    """#
}
