/// What `sluice hosts check` asks; it changes nothing. Variables: root, fleet, hex, local, from, to.
enum InspectScript {
  static let source =
    OtherFleets.source + #"""
      say "user $(id -un)"
      say "uid $(id -u)"
      if [ -d /run/systemd/system ]; then say "init systemd"; else say "init $(cat /proc/1/comm 2>/dev/null)"; fi
      if uses_systemd; then say "runtime systemd"; else say "runtime process"; fi
      for tool in tar gzip sha256sum flock setsid awk; do command -v "$tool" >/dev/null 2>&1 || say "missing $tool"; done
      say "architecture $(uname -m)"
      say "kernel $(uname -r)"
      [ ! -r /etc/os-release ] || say "system $(. /etc/os-release && printf '%s' "${PRETTY_NAME:-${ID:-}}")"
      nearest "$root"
      look_at_mount "$at"
      case ",$options," in *,noexec,*) say "noexec $mounted" ;; esac
      case ",$options," in *,ro,*) say "readonly $mounted" ;; esac
      # Some file systems have no fixed number of them, and say 0 of 0.
      inodes=$(df -Pi "$at" 2>/dev/null | awk 'NR == 2 && $2 > 0 { print $4 }')
      case $inodes in '' | *[!0-9]*) ;; *) say "inodes $inodes" ;; esac
      if [ -w "$at" ]; then say "writable 1"; else say "writable 0"; fi
      free=$(df -Pk "$at" 2>/dev/null | awk 'NR == 2 { print $4 }')
      [ -z "$free" ] || say "free $free"
      while read -r name value unit; do
        case $name in
          MemTotal:) say "memory $value" ;;
          MemAvailable:) say "available $value" ;;
        esac
      done </proc/meminfo
      say "cpus $(grep -c '^processor' /proc/cpuinfo)"
      # Units of other fleets, and what runs without one.
      {
        others
        cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | sed -n 's|^SLUICE_INSTANCE=\(/.*/instances/[0-9]*\)$|\1|p' | sort -u |
          while read -r theirs; do
            case $theirs in "$root"/*) ;; *) place_of "$theirs" ;; esac
          done
      } | sort -u | while read -r theirs port where whose; do [ "$whose" = "$fleet" ] || say "other $theirs $port $where $whose"; done
      listening "$from" "$to" | while read -r port inode; do say "listening $port"; done
      # What the kernel can limit: all in one file with cgroup 2, a folder each with cgroup 1.
      controllers=
      for each in cpu memory; do
        case " $(cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null | tr '\n' ' ') " in
          *" $each "*) controllers="$controllers $each" ;;
          *) [ ! -d "/sys/fs/cgroup/$each" ] || controllers="$controllers $each" ;;
        esac
      done
      say "controllers${controllers:- none}"
      time=$(date +%s%3N)
      case $time in *[!0-9]* | '') time=$(date +%s)000 ;; esac
      say "clock $time"
      finish
      """#
}
