/// Ensures that an instance runs. Nothing is left of it where it cannot be started.
///
/// Variables: root, base, service, fleet, tag, number, owner, epoch, slots, hex, local, address, port, digest, runtime, program, user, limits, settings, about,
/// environment, version (of the secrets; empty without any), secrets, known (1: `secrets` holds their values), head, tail (of the unit),
/// supervise, launch, pause.
enum StartScript {
  static let source = InstanceScripts.common + SuitabilityScript.source + OtherFleets.source + reservation + files + runtimes + main

  private static let reservation = #"""
    # Slot and port, under the host-wide lock. A claim whose instance has no directory is a remnant.
    reserve() {
      lock 9 "$root/lock"
      taken=0
      for each in "$root"/ports/*; do
        [ -f "$each" ] || continue
        read -r holder <"$each" || holder=
        [ "$holder" != "$service $number" ] || continue
        if [ ! -d "$root/${holder% *}/instances/${holder##* }" ]; then
          rm -f "$each"
          continue
        fi
        taken=$((taken + 1))
        [ "${each##*/}" != "$port" ] || fail portTaken "port $port is held by ${holder% *}/${holder##* }"
      done
      [ "$taken" -lt "$slots" ] || fail slotsTaken "all $slots slots of this host are taken" "raise the host's slots, or move an instance away"
      holder=$(others | while read -r place at where whose; do
        [ "$at" != "$port" ] || [ "$where" != "$local" ] || say "$place (fleet $whose)"
      done)
      [ -z "$holder" ] || fail portTaken "port $port is held by $holder" "give the service other ports than that fleet's"
      ! is_listening "$port" || fail portTaken "port $port is taken: $(holder_of "$port") listens on it" "stop that process, or give the service other ports"
      problem=$(mkdir -p "$dir" 2>&1) || cannot_write "$dir" "$problem"
      chmod 711 "$dir"
      put "$root/ports/$port" "$service $number
    "
      exec 9>&-
    }

    """#

  /// Also of a task: see `TaskScript`.
  static let files = #"""
    private_file() {
      ( umask 077 && printf '%s' "$2" >"$1.new" ) && { [ -z "$user" ] || [ "$user" = "$me" ] || chown "$user" "$1.new"; }
    }
    write_secrets() {
      [ -n "$version" ] || return 0
      file=$base/secrets/$version
      if [ "$known" = 1 ]; then
        private_file "$file" "$secrets" && sync_files "$file.new" && mv -f "$file.new" "$file" || give_up staging "the secrets could not be written to $file"
      else
        [ -f "$file" ] || give_up staging "the secrets of version $version are neither here nor on this host" "apply from where they can be read"
      fi
    }
    # The settings come last: an instance exists once it has them.
    write_files() {
      private_file "$dir/env" "$environment" &&
        private_file "$dir/env.named" "$named" &&
        printf '%s' "$about" >"$dir/instance.json.new" &&
        printf '%s\n' "$runtime" >"$dir/runtime.new" &&
        printf '%s\n' "$path" >"$dir/program.new" &&
        printf '%s' "$launch" >"$dir/launch.new" &&
        printf '%s' "$supervise" >"$dir/supervise.new" &&
        printf '%s' "$pause" >"$dir/pause.new" &&
        printf '%s\n' "$unit" >"$dir/unit.new" &&
        printf '%s' "$settings" >"$dir/settings.new" || give_up host "the instance's files could not be written: is the disk full?" "make room on the file system of $root"
      # Another user needs these for hooks and for the process runtime.
      [ -z "$user" ] || [ "$user" = "$me" ] || chmod 644 "$dir/program.new" "$dir/launch.new" "$dir/settings.new"
      set -- env env.named instance.json runtime program launch supervise pause unit settings
      ( cd "$dir" && sync_files env.new env.named.new instance.json.new runtime.new program.new launch.new supervise.new pause.new unit.new settings.new &&
        for each in "$@"; do mv -f "$each.new" "$each" || exit 1; done && sync_files . ) || give_up host "the instance's files could not be written: is the disk full?"
    }

    """#

  private static let runtimes = #"""
    give_up() {
      i_runtime=$runtime
      say_log
      if [ "$runtime" = systemd ]; then
        if owns_unit; then
          rm -f "$wanted/$unit"
          systemctl stop "$unit" >/dev/null 2>&1
        fi
      else
        i_kill_after=1000
        end_processes
      fi
      remove_instance
      fail "$@"
    }
    start_systemd() {
      if [ -e "$units/$unit" ] && ! owns_unit; then
        give_up host "the unit $unit exists on this host and is not Sluice's for $service/$number of fleet $fleet: it is left alone" "look at it: systemctl cat $unit"
      fi
      escaped=$(printf '%s\n' "$path" | sed 's/[\\"]/\\&/g; s/%/%%/g')
      content="$head
    ExecStart=\"$escaped\"$tail"
      old=
      [ ! -f "$units/$unit" ] || old=$(cat "$units/$unit")
      if [ "$old" != "$content" ]; then
        put "$units/$unit" "$content" 644
        # A unit whose file was removed is remembered by systemd for a while.
        [ -z "$old$i_release" ] || systemctl daemon-reload
      fi
      mkdir -p "$wanted" && ln -sf "$units/$unit" "$wanted/$unit" || give_up host "the unit could not be enabled"
      [ -z "$old" ] || systemctl reset-failed "$unit" 2>/dev/null
      problem=$(systemctl start "$unit" 2>&1) || {
        case $problem in *"not found"*) systemctl daemon-reload && problem=$(systemctl start "$unit" 2>&1) && return 0 ;; esac
        result=$(systemctl show -p Result --value "$unit")
        case $result in
          exit-code | signal | core-dump) give_up start "$path ended as soon as it was started: $(end_of_unit)" "$advice" ;;
        esac
        give_up start "systemd could not start $unit ($result): ${problem%%"
    "*}" "on the host: journalctl -u $unit"
      }
    }
    end_of_unit() {
      case $(systemctl show -p ExecMainCode --value "$unit") in
        2 | 3) printf 'ended by signal %s' "$(systemctl show -p ExecMainStatus --value "$unit")" ;;
        *)
          status=$(systemctl show -p ExecMainStatus --value "$unit")
          # systemd's own, before the program ran (systemd.exec(5)).
          if [ "$status" = 203 ]; then printf 'it cannot be executed here (another architecture, or its interpreter is missing)'; else printf 'exit status %s' "$status"; fi
          ;;
      esac
    }
    advice="look at its last words, and at run.command; a program has to stay in the foreground (no daemon mode: nginx -g 'daemon off;', no &)"
    # Whether the instance has ended by itself; sets how to what is known of it.
    has_ended() {
      if [ "$runtime" = systemd ]; then
        state=$(systemctl show -p SubState -p NRestarts "$unit")
        case "$state " in *NRestarts=0[!0-9]*) case $state in *SubState=running* | *SubState=start*) return 1 ;; esac ;; esac
        how=$(end_of_unit)
      else
        [ -f "$dir/exit" ] || return 1
        how="exit status $(cat "$dir/exit")"
      fi
    }

    """#

  private static let main = #"""
    enter
    release=$base/releases/$digest
    [ -d "$release" ] || fail staging "the release is not on this host" "apply again: it will be brought"
    if load_instance "$number" && [ "$i_release" = "$digest" ] && [ ! -e "$dir/background" ] && is_running; then
      if [ "$i_runtime" = systemd ] && [ ! -e "$units/$unit" ]; then
        # It would not come up again after a boot.
        find_program
        start_systemd
      fi
      read_generation
      say "generation ${generation:-0}"
      finish
    fi
    read_cordon
    if [ "$word_drained" = 1 ]; then
      say_cordon
      fail drained "it takes no instances: it is drained"
    fi
    choose_runtime
    check_user
    find_program
    if [ "$i_runtime" = process ]; then
      killed=0
      i_kill_after=0
      end_processes
    fi
    i_signal=KILL
    # One that was here keeps its unit's name, unless that has gone to somebody else.
    if [ -z "$i_release" ] || { [ -e "$units/$unit" ] && ! owns_unit; }; then unit=sluice-$service-$number-$fleet-$tag.service; fi
    reserve
    rm -f "$dir/began" "$dir/exit" "$dir/stopping"
    write_secrets
    write_files
    i_runtime=$runtime
    "start_$runtime"
    tries=0
    while [ "$tries" -lt 6 ] && ! is_listening "$port"; do
      if has_ended; then give_up start "$path ended as soon as it was started: $how" "$advice"; fi
      tries=$((tries + 1))
      nap
    done
    if has_ended; then give_up start "$path ended as soon as it was started: $how" "$advice"; fi
    raise_generation
    say "generation $generation"
    say "runtime $runtime"
    finish
    """#
}
