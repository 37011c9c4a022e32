/// Ensures that a task has begun, waits for its end for a while, and tells how it ended. Asked again, it tells again.
///
/// What it leaves below `attempts/<id>` tells how it ended, whoever asks and whenever: `exit` its status; while `alive` is locked, it runs;
/// neither: it was cut off.
///
/// Variables: root, base, service, owner, epoch, id, digest, program, user, limits, runtime (both empty), settings, environment, launch,
/// supervise, version (of the secrets; empty without any), secrets, known (1: `secrets` holds their values), wait (milliseconds).
enum TaskScript {
  static let source =
    InstanceScripts.common + SuitabilityScript.source + StartScript.files + #"""
      give_up() { rm -rf "$dir"; fail "$@"; }
      is_alive() { ! ( exec 7>>"$dir/alive" && flock -n 7 ) 2>/dev/null; }
      enter
      dir=$base/attempts/$id
      if [ ! -f "$dir/settings" ]; then
        release=$base/releases/$digest
        [ -d "$release" ] || fail staging "the release is not on this host" "apply again: it will be brought"
        check_user
        find_program
        rm -rf "$dir"
        problem=$(mkdir -p "$dir" 2>&1) || cannot_write "$dir" "$problem"
        chmod 711 "$base/attempts" "$dir"
        unit= pause=
        write_secrets
        write_files
        start_process
      elif [ ! -s "$dir/pid" ] && ! is_alive; then
        # What had begun this was cut off before the command.
        start_process
      fi
      leave
      now
      until_then=$((up + wait / 10))
      until [ -f "$dir/exit" ]; do
        if ! is_alive && [ ! -f "$dir/exit" ]; then
          say interrupted
          break
        fi
        now
        if [ "$up" -ge "$until_then" ]; then
          say running
          finish
        fi
        nap
      done
      [ ! -f "$dir/exit" ] || say "status $(cat "$dir/exit")"
      [ ! -f "$dir/log" ] || tail -n 25 "$dir/log" | cut -c 1-2000 | lines log
      finish
      """#

  /// `supervise DIR PARENT`: runs the command once, one task of the service at a time, and writes down how it ended;
  /// it is ended after `limit` seconds.
  static func supervise(limit: Int64) -> String {
    #"""
    #!/bin/sh
    # Written by Sluice.
    umask 077

    """# + InstanceFiles.rotation
      + #"""
      dir=$1 parent=$2
      cd "$dir" || exit 1
      exec 7>>alive
      flock 7 || exit 1
      echo "$$" >pid.new
      mv pid.new pid
      [ "$PPID" != "$parent" ] || kill -KILL "$parent"
      : >>log
      setsid sh "$dir/supervise" rotate "$dir" "$$" </dev/null >/dev/null 2>&1 7>&- &
      rotator=$!
      exec 6>>../../task.lock
      flock 6
      setsid sh -c 'sleep LIMIT; : >late; kill -TERM "-$(cat group)"; sleep 5; kill -KILL "-$(cat group)"' >/dev/null 2>&1 6>&- 7>&- &
      watchdog=$!
      sh -c 'echo "$$" >group; exec setsid sh "$1/launch" "$1"' sluice "$dir" >>log 2>&1 6>&-
      status=$?
      kill -KILL "-$watchdog" 2>/dev/null || kill -KILL "$watchdog"
      kill -KILL "-$rotator" 2>/dev/null || kill -KILL "$rotator"
      [ ! -e late ] || status=late
      echo "$status" >exit.new
      sync exit.new log 2>/dev/null || sync
      mv exit.new exit

      """#.split(separator: "LIMIT", omittingEmptySubsequences: false).joined(separator: "\(limit)")
  }
}
