/// What an instance on a host is doing: for facts, for readiness, for status.
enum InstanceState {
  /// `look_at_instance`, of the loaded one: sets s_running (something keeps its program running), s_restarts, and, where the program is not
  /// up, s_cause (as in `EndedFact.Cause`), s_since (milliseconds of the host's clock), s_status and s_signal, each `-` where it is not known.
  static let source = #"""
    look_at_instance() {
      s_running=0 s_cause= s_since=- s_status=- s_signal=- s_restarts=0
      case $i_runtime in
        systemd) look_at_systemd ;;
        process) look_at_process ;;
        *) s_cause=unsupervised ;;
      esac
    }
    look_at_systemd() {
      if [ ! -e "$units/$unit" ] || ! owns_unit; then
        s_cause=unitRemoved
        return
      fi
      look_at_unit
      s_restarts=$u_NRestarts
      case $u_ActiveState/$u_SubState in
        activating/auto-restart* | activating/start-pre | deactivating/*) s_running=1 s_cause=exited ;;
        active/* | activating/* | reloading/*) s_running=1 ;;
        failed/*) s_cause=givenUp ;;
        *) if [ "$u_Restart" = always ]; then s_cause=unsupervised; else s_cause=exited; fi ;;
      esac
      if [ "$u_ExecMainExitTimestampMonotonic" = 0 ]; then
        # This systemd has seen no end of it.
        [ "$s_running" = 0 ] || s_cause=
        return
      fi
      [ -n "$s_cause" ] || return
      case $u_ExecMainCode in
        1) s_status=$u_ExecMainStatus ;;
        2 | 3) s_signal=$u_ExecMainStatus ;;
      esac
      read -r up rest </proc/uptime
      s_since=$(($(date +%s) * 1000 - (${up%.*}${up#*.} * 10 - u_ExecMainExitTimestampMonotonic / 1000)))
    }
    look_at_process() {
      [ ! -f "$dir/restarts" ] || read -r s_restarts <"$dir/restarts"
      if supervised; then
        s_running=1
        if [ -e "$dir/background" ]; then
          s_running=0 s_cause=background
        elif [ -e "$dir/pausing" ]; then
          s_cause=exited
        else
          return
        fi
      fi
      [ -n "$s_cause" ] || s_cause=unsupervised
      [ -f "$dir/exit" ] || return
      status=
      read -r status <"$dir/exit" || :
      case $status in '' | *[!0-9]*) return ;; esac
      if [ "$s_cause" = unsupervised ] && [ -n "$supervisor" ]; then
        # Supervisors of Sluice 0.1 end with a program that ends well, and after ten failures.
        if [ "$status" = 0 ]; then
          s_cause=exited
        elif tail -n 1 "$dir/log" 2>/dev/null | grep -q '^sluice: given up'; then
          s_cause=givenUp
        fi
      fi
      # Of one that lost its supervisor only an end that the supervisor saw is known.
      [ "$s_cause" != unsupervised ] || return
      if [ "$status" -gt 128 ] && [ "$status" -le 192 ]; then s_signal=$((status - 128)); else s_status=$status; fi
      since=$(date -r "$dir/exit" +%s 2>/dev/null) && s_since=$((since * 1000))
    }

    """#
}
