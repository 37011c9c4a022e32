/// What other fleets have on a host: those with a root of their own there.
enum OtherFleets {
  /// `others`: a line `DIRECTORY PORT ADDRESS FLEET` (`-`: it does not say) for each of their instances that has a unit, as far as this user may see. Their files are read, never run.
  static let source = #"""
    others() {
      sed -n 's|^EnvironmentFile=\(/.*/instances/[0-9]*\)/env$|\1|p' "$units"/sluice-*.service 2>/dev/null | while read -r theirs; do
        case $theirs in "$root"/*) continue ;; esac
        place_of "$theirs"
      done
    }
    # DIRECTORY: its line, where its settings can be read
    place_of() {
      set -- "$1" "$(sed -n "s/^i_port='\([0-9]*\)'\$/\1/p" "$1/settings" 2>/dev/null)" \
        "$(sed -n "s/^i_address='\([0-9a-fA-F.:]*\)'\$/\1/p" "$1/settings" 2>/dev/null)"
      whose=
      [ ! -f "${1%/instances/*}/fleet" ] || read -r whose <"${1%/instances/*}/fleet" || :
      [ -z "$2" ] || say "$1 $2 ${3:--} ${whose:--}"
    }

    """#
}
