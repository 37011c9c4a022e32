/// An operator's word on whether a host takes instances: `NUMBER DRAINED SINCE BY` in one file below the host's root, for all services there.
enum CordonScripts {
  /// Leaves a word, and says which one lies there then. Variables: root, number, drained (1 or 0), at, by, follows (1: it comes after
  /// whatever lies there).
  static let leave = #"""
    problem=$( { [ -d "$root" ] || ( umask 022 && mkdir -p "$root" ); } 2>&1) || cannot_write "$root" "$problem"
    lock 9 "$root/lock"
    read_cordon
    if [ "$follows" = 1 ] && [ "$word" -ge "$number" ]; then number=$((word + 1)); fi
    if [ "$number" -gt "$word" ] || { [ "$number" -eq "$word" ] && [ "$drained" -gt "$word_drained" ]; }; then
      put "$root/cordon" "$number $drained $at $by
    "
      sync_files "$root"
      read_cordon
    fi
    exec 9>&-
    say_cordon
    say done
    finish
    """#

  /// For whoever only wants to know. Variables: root.
  static let look = #"""
    read_cordon
    say_cordon
    say done
    finish
    """#
}
