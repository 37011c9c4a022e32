/// The kill ladder: `preStop`, signal, SIGKILL, port closed; then the instance is removed.
///
/// Variables: root, base, service, fleet, tag, number, owner, epoch, hex, port, limit (of preStop, in milliseconds). The service's lock is not held
/// meanwhile, so that other instances can be started.
enum StopScript {
  static let source =
    InstanceScripts.common + #"""
      pre_stop() {
        [ -n "$i_pre_stop" ] || return 0
        # What ends because preStop asks it to is not started again.
        ( : >"$dir/stopping" ) 2>/dev/null
        eval "limited $limit sh \"\$dir/launch\" \"\$dir\" $i_pre_stop"
        status=$?
        if [ "$status" != 0 ]; then
          say "prestop $status"
          tail -n 10 "$dir/hook.log" | lines output
        fi
      }
      stop_systemd() {
        # What has its name by now is another fleet's.
        owns_unit || return 0
        rm -f "$wanted/$unit"
        problem=$(systemctl stop "$unit" 2>&1) || case $problem in *"not loaded"* | *"not found"*) ;; *) fail stop "systemd could not stop $unit: $problem" ;; esac
        [ "$(systemctl show -p Result --value "$unit" 2>/dev/null)" != timeout ] || killed=1
      }
      enter lenient
      killed=0
      if ! load_instance "$number"; then
        i_port=$port
        [ -e "$units/$unit" ] && owns_unit || unit=sluice-$service-$number-$fleet-$tag.service
        if uses_systemd && [ -e "$units/$unit" ] && owns_unit; then
          i_runtime=systemd
        elif [ -e "$dir" ]; then
          i_runtime=process
        else
          remove_instance
          read_generation
          say "generation ${generation:-0}"
          say "killed 0"
          finish
        fi
      fi
      leave
      pre_stop
      case $i_runtime in
        systemd) stop_systemd ;;
        *) end_processes ;;
      esac
      now
      until_then=$((up + 500))
      while [ "$i_port" != 0 ] && is_listening "$i_port"; do
        now
        [ "$up" -lt "$until_then" ] || fail stop "$service/$number was stopped, and port $i_port is still open: $(holder_of "$i_port") listens on it" \
          "end that process, then try again: nothing else is given the port until then"
        nap
      done
      enter lenient
      remove_instance
      [ ! -e "$dir" ] || cannot_write "$dir" "$service/$number was stopped, and its files cannot be removed"
      raise_generation
      say "generation $generation"
      say "killed $killed"
      finish
      """#
}
