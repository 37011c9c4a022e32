/// Two scripts that lie in every instance's directory.
enum InstanceFiles {
  /// `launch DIR [COMMAND…]`: becomes the instance's command, or another one in the same surroundings: user, environment, secrets, directory.
  static let launch = #"""
    #!/bin/sh
    # Written by Sluice.
    if [ "${SLUICE_INSTANCE-}" != "$1" ]; then
      . "$1/settings"
      name=$(id -un)
      as=
      if [ -n "$i_user" ] && [ "$i_user" != "$name" ]; then
        name=$i_user
        group=$(id -g "$name") || exit 126
        if setpriv --reuid "$name" --regid "$group" --init-groups true 2>/dev/null; then
          as="setpriv --reuid $name --regid $group --init-groups"
        elif chroot --userspec="$name" / true 2>/dev/null; then
          as="chroot --userspec=$name /"
        else
          exec env -i PATH="$PATH" SLUICE_INSTANCE="$1" su -s /bin/sh "$name" -c 'exec sh "$0" "$@"' "$1/launch" "$@"
        fi
      fi
      eval "home=~$name"
      exec env -i PATH="$PATH" HOME="$home" USER="$name" LOGNAME="$name" SLUICE_INSTANCE="$1" $as sh "$1/launch" "$@"
    fi
    i_dir=$1
    shift
    . "$i_dir/settings"
    cd "$i_files" || exit 126
    if [ "$#" = 0 ]; then
      IFS= read -r i_program <"$i_dir/program"
      eval "set -- \"\$i_program\" $i_arguments"
    else
      case $1 in
        /*) ;;
        *)
          if [ -f "$i_files/$1" ]; then
            i_program=$i_files/$1
            shift
            set -- "$i_program" "$@"
          fi
          ;;
      esac
    fi
    set -a
    . "$i_dir/env"
    if [ -n "$i_secrets" ]; then . "$i_dir/../../secrets/$i_secrets"; fi
    set +a
    exec "$@"

    """#

  /// `supervise DIR PARENT`: keeps a command running, for hosts without systemd. It restarts after a failure, waiting 1, 2, 4 … 30 seconds,
  /// gives up after ten failures in a row that each came within a minute, and keeps two logs of 10 MiB.
  static let supervise = #"""
    #!/bin/sh
    # Written by Sluice.
    umask 022
    if [ "$1" = rotate ]; then
      cd "$2" || exit 1
      while kill -0 "$3" 2>/dev/null && [ -f log ]; do
        if [ "$(($(wc -c <log)))" -gt 10485760 ]; then cp log log.1 && : >log; fi
        sleep 20
      done
      exit 0
    fi
    dir=$1 parent=$2
    cd "$dir" || exit 1
    boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
    ticks_of() {
      read -r stat <"/proc/$1/stat"
      set -- ${stat##*) }
      ticks=${20}
    }
    : >>log
    ticks_of "$$"
    setsid sh "$dir/supervise" rotate "$dir" "$$" </dev/null >/dev/null 2>&1 &
    rotator=$!
    own=$ticks
    ticks_of "$rotator" && echo "$rotator $ticks" >rotator
    echo "$$ $own $boot" >pid.new
    mv pid.new pid
    [ "$PPID" != "$parent" ] || kill -KILL "$parent"
    delay=1 restarts=0 failures=0
    while [ ! -e stopping ]; do
      read -r began rest </proc/uptime
      sh "$dir/launch" "$dir" >>log 2>&1
      status=$?
      [ ! -e stopping ] || break
      echo "$status" >exit.new
      mv exit.new exit
      [ "$status" != 0 ] || break
      read -r ended rest </proc/uptime
      if [ "$((${ended%.*} - ${began%.*}))" -ge 60 ]; then delay=1 failures=0; fi
      restarts=$((restarts + 1)) failures=$((failures + 1))
      echo "sluice: ended with status $status, restart $restarts in $delay s" >>log
      if [ "$failures" -ge 10 ]; then
        echo "sluice: given up after $failures failures in a row" >>log
        break
      fi
      echo "$restarts" >restarts.new
      mv restarts.new restarts
      sleep "$delay"
      delay=$((delay * 2))
      [ "$delay" -le 30 ] || delay=30
    done
    kill -KILL "-$rotator" 2>/dev/null

    """#
}
