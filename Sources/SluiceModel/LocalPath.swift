/// Paths of this machine as manifests write them.
package enum LocalPath {
  /// Absolute as it is, `~` and `~/…` from the home directory (where one is known), everything else from `base`.
  package static func resolve(_ path: String, from base: String, home: String?) -> String {
    if path.hasPrefix("/") { return path }
    if path == "~" || path.hasPrefix("~/"), let home { return home + path.dropFirst(1) }
    return base.isEmpty ? path : base.hasSuffix("/") ? base + path : "\(base)/\(path)"
  }
}
