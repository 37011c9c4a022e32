/// Bringing a release: asking what is there, then one upload that ends in the unpacked release.
enum StageScripts {
  /// Variables: root, base, owner, epoch, digest, artifact, size, unpacked, about, and those of `SuitabilityScript`; an empty program is not
  /// looked for. Says `present`, or the `offset` to go on from.
  static let check =
    SuitabilityScript.source + #"""
      enter
      choose_runtime
      check_user
      if [ -d "$base/releases/$digest" ]; then
        release=$base/releases/$digest
        [ -z "$program" ] || find_program
        read_generation
        say "generation ${generation:-0}"
        say present
        finish
      fi
      make_base
      # Said before the files are brought, where it can be known before.
      release=$base/releases/$digest
      eval "check_execution \"\$program\" $others"
      part=$base/artifacts/$artifact.part
      [ ! -f "$base/artifacts/$artifact.tar.gz" ] || part=$base/artifacts/$artifact.tar.gz
      offset=0
      [ ! -f "$part" ] || offset=$(($(wc -c <"$part")))
      if [ "$offset" -gt "$size" ]; then
        rm -f "$part"
        offset=0
      fi
      needed=$(((size - offset + unpacked) / 1024 + 4096))
      free=$(df -Pk "$base" | awk 'NR == 2 { print $4 }')
      case $free in
        '' | *[!0-9]*) ;;
        *)
          [ "$free" -ge "$needed" ] ||
            fail host "the disk is too full: the release needs $((needed / 1024)) MiB below $root, $((free / 1024)) MiB are free, $(((needed - free + 1023) / 1024)) MiB are missing" \
              "make room on the file system of $root"
          ;;
      esac
      put "$base/releases/.$digest.json" "$about"
      say "offset $offset"
      finish
      """#

  /// stdin: the packed artifact from `offset` on. Variables as above, and offset. Says `offset` where the file has grown meanwhile.
  static let upload =
    SuitabilityScript.source + #"""
      enter
      leave
      full=$base/artifacts/$artifact.tar.gz
      part=$base/artifacts/$artifact.part
      ( : >>"$base/artifacts/lock.$artifact" ) 2>/dev/null || cannot_write "$base/artifacts/lock.$artifact" "it cannot be opened"
      eval "exec 7>>\"\$base/artifacts/lock.\$artifact\""
      flock -n 7 || fail staging "another upload of the same artifact is under way" "it ends by itself; try again"
      if [ ! -f "$full" ]; then
        here=0
        [ ! -f "$part" ] || here=$(($(wc -c <"$part")))
        if [ "$here" != "$offset" ]; then
          say "offset $here"
          finish
        fi
        problem=$(cat 2>&1 >>"$part") || fail host "the artifact could not be written to $part: $problem" "make room on the file system of $root"
        here=$(($(wc -c <"$part")))
        [ "$here" = "$size" ] || fail staging "$here of $size bytes of the artifact arrived"
        set -- $(sha256sum <"$part")
        if [ "$1" != "$artifact" ]; then
          rm -f "$part"
          fail staging "the artifact arrived damaged: its SHA-256 is $1, not $artifact" "try again; the damaged copy is removed"
        fi
        sync_files "$part"
        mv -f "$part" "$full"
      fi
      new=$base/releases/.$digest.new
      discard() { [ ! -e "$1" ] || { chmod -R u+w "$1" && rm -rf "$1"; } 2>/dev/null; }
      discard "$new"
      problem=$(mkdir -p "$new/files" 2>&1 && chmod 755 "$new" "$new/files" 2>&1) || cannot_write "$new" "$problem"
      problem=$(tar -xzof "$full" -C "$new/files" 2>&1) || {
        discard "$new"
        rm -f "$full"
        fail staging "the artifact does not unpack: $(printf '%s\n' "$problem" | tail -n 3)" "it has to be a gzip-compressed tar; was the disk full?"
      }
      mv "$base/releases/.$digest.json" "$new/release.json" && printf '%s\n' "$artifact" >"$new/artifact" || fail staging "the release's description is gone" "try again"
      chmod -R a+rX,a-w,u-s,g-s "$new/files" || fail staging "the release's files cannot be made read-only"
      release=$new
      [ -z "$program" ] || find_program
      sync -f "$new" 2>/dev/null || sync
      enter
      if [ -d "$base/releases/$digest" ]; then discard "$new"; else mv "$new" "$base/releases/$digest" || fail staging "the unpacked release could not be moved to its place"; fi
      sync_files "$base/releases" "$base/artifacts"
      rm -f "$base/artifacts/lock.$artifact"
      raise_generation
      say "generation $generation"
      finish
      """#
}
