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
    umask 022
    i_dir=$1 i_named=
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
    # Names that a shell keeps to itself reach the program all the same.
    [ -z "$i_named" ] || eval "set -- env $i_named \"\$@\""
    exec "$@"

    """#

  /// `supervise DIR PARENT`: keeps a command running, for hosts without systemd. However it ends it is started again, after 1, 2, 4 … 30 seconds,
  /// for ever; after a minute's run the pauses begin anew. What a program that has left the foreground left behind keeps the port: it is waited for.
  static let supervise =
    #"""
    #!/bin/sh
    # Written by Sluice.
    umask 077

    """# + rotation + #"""
      dir=$1 parent=$2
      cd "$dir" || exit 1
      boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
      ticks_of() {
        read -r stat <"/proc/$1/stat"
        set -- ${stat##*) }
        ticks=${20}
      }
      note() { { echo "$2" >"$1.new" && mv -f "$1.new" "$1"; } 2>/dev/null; }
      # What the ended command has left, by the mark that all of it inherits
      left() { grep -lzxF "SLUICE_INSTANCE=$dir" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/environ$||'; }
      # Whether any of that listens on the instance's port
      left_listening() {
        i_port=
        . "$dir/settings"
        [ -n "$i_port" ] || return 1
        sockets=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
          awk -v port="$(printf ':%04X' "$i_port")" '$4 == "0A" && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }')
        [ -n "$sockets" ] || return 1
        for each in $(left); do
          held=$(ls -l "/proc/$each/fd" 2>/dev/null)
          for socket in $sockets; do
            case $held in *"$socket"*) return 0 ;; esac
          done
        done
        return 1
      }
      : >>log
      ticks_of "$$"
      setsid sh "$dir/supervise" rotate "$dir" "$$" </dev/null >/dev/null 2>&1 &
      rotator=$!
      own=$ticks
      ticks_of "$rotator" && note rotator "$rotator $ticks"
      echo "$$ $own $boot" >pid.new
      mv pid.new pid
      [ "$PPID" != "$parent" ] || kill -KILL "$parent"
      delay=1 restarts=0
      while [ ! -e stopping ]; do
        read -r began rest </proc/uptime
        sh "$dir/launch" "$dir" >>log 2>&1
        status=$?
        [ ! -e stopping ] || break
        note exit "$status"
        if [ "$status" = 0 ] && left_listening; then
          echo "sluice: the program has left the foreground: it is not supervised while it listens in the background" >>log
          note background 1
          while [ ! -e stopping ] && left_listening; do sleep 1; done
          rm -f background
          [ ! -e stopping ] || break
        fi
        for each in $(left); do kill -KILL "$each" 2>/dev/null; done
        read -r ended rest </proc/uptime
        if [ "$((${ended%.*} - ${began%.*}))" -ge 60 ]; then delay=1; fi
        restarts=$((restarts + 1))
        echo "sluice: ended with status $status, restart $restarts in $delay s" >>log
        note restarts "$restarts"
        note pausing 1
        sleep "$delay"
        rm -f pausing
        delay=$((delay * 2))
        [ "$delay" -le 30 ] || delay=30
      done 2>/dev/null
      kill -KILL "-$rotator" 2>/dev/null

      """#

  /// `… rotate DIR PID`: keeps the log in DIR below 10 MiB, with 5 MiB of what was before in `log.1`, while that process lives. It never needs more room
  /// than those 5 MiB; where they are not there, the log gives way all the same, but for its last words.
  static let rotation = #"""
    if [ "$1" = rotate ]; then
      cd "$2" || exit 1
      size=0
      while kill -0 "$3" 2>/dev/null && [ -f log ]; do
        before=$size size=$(($(wc -c <log)))
        if [ "$size" -gt 10485760 ]; then
          rm -f log.1
          if tail -c 5242880 log >log.new 2>/dev/null; then
            : >log
          else
            rm -f log.new
            last=$(tail -c 65536 log)
            : >log
            printf '%s\n' "$last" >log.new
          fi
          mv -f log.new log.1
        fi
        # One that writes much is looked at more often.
        if [ "$((size - before))" -gt 1048576 ]; then sleep 1; else sleep 5; fi
      done 2>/dev/null
      exit 0
    fi

    """#

  /// `pause DIR` before each start of a unit, `pause DIR ended` after each end: systemd 252 knows no growing pauses. With the unit's second they
  /// are those of `supervise`.
  static let pause = #"""
    #!/bin/sh
    # Written by Sluice.
    umask 077
    cd "$1" || exit 0
    if [ "${2-}" = ended ]; then
      echo "${EXIT_CODE-} ${EXIT_STATUS-}" >exit.new && mv -f exit.new exit
      exit 0
    fi
    # One that is being stopped has ended because preStop asked it to. A stop that was cut off, by a boot for example, is forgotten.
    while [ -e stopping ] && [ "$(($(date +%s) - $(date -r stopping +%s)))" -lt 900 ]; do sleep 1; done
    began=0 delay=0
    if [ -f began ]; then
      read -r began delay <began
      read -r up rest </proc/uptime
      if [ "${up%.*}" -lt "$began" ] || [ "$((${up%.*} - began))" -ge 60 ]; then delay=0; fi
      sleep "$delay"
      delay=$((delay * 2 + 1))
      [ "$delay" -le 29 ] || delay=29
    fi
    read -r up rest </proc/uptime
    echo "${up%.*} $delay" >began.new && mv -f began.new began

    """#
}
