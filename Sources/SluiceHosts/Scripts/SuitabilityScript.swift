/// Whether a release can run on a host at all: asked when its files come, before anything that serves is touched, and again at each start.
///
/// Variables: runtime, program, user, limits, others (the release's further programs: its checks, preStop, task); release, the folder of the unpacked release. Sets path, the program's own.
enum SuitabilityScript {
  static let source = #"""
    choose_runtime() {
      case $runtime in
        auto) if uses_systemd; then runtime=systemd; else runtime=process; fi ;;
        systemd)
          uses_systemd || fail host "runtime systemd is asked for, and $(if [ -d /run/systemd/system ]; then say "$(id -un) may not make units"; else say "systemd is not PID 1 here"; fi)" \
            "set ssh.become: sudo where systemd runs, or run.runtime: auto"
          ;;
      esac
      [ "$runtime" = systemd ] || [ -z "$limits" ] || fail host "run.limits needs the systemd runtime, and this host has only the process runtime" \
        "leave run.limits out for this host's services, or set ssh.become: sudo where systemd runs"
    }
    check_user() {
      me=$(id -un)
      [ -n "$user" ] && [ "$user" != "$me" ] || return 0
      id -u "$user" >/dev/null 2>&1 || fail host "run.user $user does not exist on this host" "create it there: useradd --system $user"
      [ "$(id -u)" = 0 ] || fail host "the service runs as $user, and $me may not become another user" "set ssh.become: sudo, or leave run.user out"
    }
    # PROGRAM…: refused where the host executes nothing of a release
    check_execution() {
      for each in "$@"; do
        case $each in /*) continue ;; */*) ;; *) [ -f "$release/files/$each" ] || continue ;; esac
        look_at_mount "$base"
        case ",$options," in *,noexec,*)
          fail host "$each of the artifact cannot be executed: $mounted is mounted noexec" "mount it without noexec, give this host another root, or run it by a program of the host (run.command: [/usr/bin/python3, …])" ;;
        esac
        return 0
      done
    }
    find_program() {
      path= lacks="neither the artifact nor PATH has $program"
      case $program in
        /*) path=$program lacks="there is no $program on this host" ;;
        */*) path=$release/files/$program lacks="the artifact has no $program" ;;
        *)
          if [ -f "$release/files/$program" ]; then
            path=$release/files/$program
          else
            old=$IFS
            IFS=:
            for each in $PATH; do
              if [ -f "$each/$program" ] && [ -x "$each/$program" ]; then
                path=$each/$program
                break
              fi
            done
            IFS=$old
          fi
          ;;
      esac
      [ -n "$path" ] && [ -e "$path" ] || fail start "run.command: $lacks" "look at run.command and at what the artifact holds"
      eval "check_execution \"\$program\" $others"
      [ -f "$path" ] && [ -x "$path" ] || fail start "run.command: $program is not an executable file" "make it executable before it is packed"
    }

    """#
}
