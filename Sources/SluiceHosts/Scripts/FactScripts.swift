/// Looking at a host: for a claim, and again after something was in doubt.
enum FactScripts {
  /// Variables: root, base, service, fleet, tag, owner, epoch, machine, since, takeover, hex, from, to.
  static let claim =
    tools + facts + #"""
      make_base
      lock 8 "$base/lock"
      read_fence
      granted=
      if [ "$epoch" -eq "$fence_epoch" ] && [ "$owner" = "$fence_owner" ]; then
        granted=1
      elif [ "$epoch" -gt "$fence_epoch" ]; then
        if [ -z "$fence_owner" ] || [ "$fence_released" = 1 ] || [ "$fence_machine" = "$machine" ] || [ "$takeover" = 1 ]; then granted=1; fi
      fi
      if [ -z "$granted" ]; then
        say_holder
        finish
      fi
      if [ "$owner $epoch $machine $since 0" != "$fence_owner $fence_epoch $fence_machine $fence_since $fence_released" ]; then
        # Should the claim come to nothing, the former holder gets it back.
        if [ -z "$fence_owner" ]; then
          rm -f "$base/fence.former"
        elif [ "$owner" != "$fence_owner" ]; then
          put "$base/fence.former" "$fence_owner $fence_epoch $fence_machine $fence_since $fence_released
      "
        fi
        write_fence "$machine" "$since" 0
      fi
      leave
      say_facts
      if [ -f "$base/record.json" ]; then
        say "record $(($(wc -c <"$base/record.json")))"
        cat "$base/record.json"
        say
        [ ! -f "$base/record.json.sig" ] || lines signature <"$base/record.json.sig"
      fi
      finish
      """#

  /// Variables: root, base, service, fleet, tag, owner, epoch, hex, from, to.
  static let observe =
    facts + #"""
      enter lenient
      leave
      say_facts
      finish
      """#

  /// The same for whoever only wants to know: no fence, no lock, and nothing is written. Variables: root, base, service, from, to.
  static let look =
    facts + #"""
      raise_generation() { generation=0; }
      say_facts
      finish
      """#

  private static let tools = #"""
    missing=
    for tool in tar gzip sha256sum flock setsid awk; do command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"; done
    [ -z "$missing" ] || fail host "these tools are missing:$missing" "install them (Debian: apt-get install coreutils util-linux tar gzip mawk)"

    """#

  private static let facts =
    InstanceState.source + OtherFleets.source + #"""
      say_facts() {
        read_generation
        # A generation must stand before the first fact is told: later ones are compared with it.
        if [ -z "$generation" ]; then raise_generation; fi
        say "generation $generation"
        read_cordon
        say_cordon
        for each in "$base"/instances/*/settings; do
          [ -f "$each" ] || continue
          number=${each%/settings}
          number=${number##*/}
          load_instance "$number" || continue
          look_at_instance
          say "instance $number $i_port $s_running${s_cause:+ $s_cause $s_since $s_status $s_signal $s_restarts}"
        done
        for each in "$base"/releases/*/; do
          [ -d "$each" ] || continue
          each=${each%/}
          say "release ${each##*/}"
        done
        listening "$from" "$to" | while read -r at inode; do say "listening $at"; done
        for each in "$root"/ports/*; do
          [ -f "$each" ] && read -r holder <"$each" || continue
          [ "$root/${holder% *}" != "$base" ] && [ -d "$root/${holder% *}/instances/${holder##* }" ] || continue
          say "held ${each##*/}"
        done
        others | while read -r place at where whose; do
          [ "$where" != "$local" ] || [ "$at" -lt "$from" ] || [ "$at" -gt "$to" ] || say "listening $at"
        done
      }

      """#
}
