/// Reads the keys of one mapping. Every key it is asked for is a known one; whatever else stands there is reported by `finish`.
final class MappingReader {
  let cursor: Cursor
  /// The key that the mapping belongs to, or the mapping itself.
  let place: Place
  private let entries: [Entry]
  private var known: [String] = []
  private var refused: Set<String> = []
  private var missing: [(key: String, example: String)] = []

  /// Nil, with a diagnostic, when the value is no mapping.
  init?(_ value: Value, _ cursor: Cursor, acceptsNothing: Bool = false) {
    switch value.content {
    case .mapping(let entries): self.entries = entries
    case .null where acceptsNothing: entries = []
    default:
      cursor.wrongType(value, expected: "a mapping")
      return nil
    }
    self.cursor = cursor
    place = cursor.document.has(cursor.path) ? cursor.document.place(cursor.path) : value.place
  }

  /// Whether the key is there; makes it a known one.
  func has(_ key: String) -> Bool { entry(key) != nil }

  /// The value of a key that may be absent; nil too when it is wrong.
  func optional<Output>(_ key: String, _ form: Form<Output>) -> Output? { value(of: key, form, example: nil) }

  private func value<Output>(of key: String, _ form: Form<Output>, example: String?) -> Output? {
    guard let entry = entry(key) else { return nil }
    var cursor = cursor.key(key)
    cursor.example = example
    if case .mapping = entry.value.content {
      cursor.document.note(cursor.path, at: entry.keyPlace)
    } else {
      cursor.document.note(cursor.path, at: entry.value.placed(for: entry).place)
    }
    return form.read(entry.value.placed(for: entry), cursor)
  }

  /// The value of a key, or what stands for it when it is absent or wrong.
  func optional<Output>(_ key: String, _ form: Form<Output>, default value: Output) -> Output { optional(key, form) ?? value }

  /// The value of a key that must be there; nil, with a diagnostic, when it is absent or wrong.
  func required<Output>(_ key: String, _ form: Form<Output>, example: String) -> Output? {
    if !has(key) {
      missing.append((key, example))
      cursor.document.hasErrors = true
    }
    return value(of: key, form, example: example)
  }

  /// Keys of the design that do not work yet: refused by name.
  func notBuilt(_ keys: String...) {
    for entry in entries where keys.contains(entry.key) {
      refused.insert(entry.key)
      cursor.error(.notBuiltYet, "`\(cursor.key(entry.key).shown)` is not built yet", at: entry.keyPlace, suggestion: "remove it")
    }
  }

  /// Of several keys that exclude each other, those that are there. More than one is reported, and so is none unless `optional`.
  func exactlyOne(of keys: [String], notBuilt: [String] = [], optional: Bool = false) -> String? {
    let present = entries.filter { keys.contains($0.key) }
    let others = entries.filter { notBuilt.contains($0.key) }
    for key in keys { note(key) }
    let listed = keys.map { "`\($0)`" }.joined(separator: ", ")
    if let second = present.dropFirst().first {
      cursor.error(
        .conflictingKeys, "`\(cursor.shown)` has both `\(present[0].key)` and `\(second.key)`", at: second.keyPlace,
        suggestion: "keep one of them")
    } else if present.isEmpty, others.isEmpty, !optional {
      // A key that is not known is reported by itself, and was probably meant to be one of them.
      if entries.allSatisfy({ known.contains($0.key) }) {
        cursor.error(.missingKey, "`\(cursor.shown)` needs one of \(listed)", at: place, suggestion: "add one of them")
      }
    }
    return present.first?.key
  }

  /// Reports the keys that nobody asked for, and those that must be there and are not. A required key that is only misspelt is one mistake,
  /// not two.
  func finish() {
    let unknown = entries.filter { !known.contains($0.key) && !refused.contains($0.key) }
    let meant = unknown.compactMap { NearestName.of($0.key, in: known) }
    for (key, example) in missing where !meant.contains(key) {
      let subject = cursor.path.isEmpty ? "this document" : "`\(cursor.shown)`"
      cursor.error(.missingKey, "\(subject) needs `\(key)`", at: place, suggestion: "add `\(example)`")
    }
    for entry in unknown {
      let inside = cursor.path.isEmpty ? "at the top of a document" : "in `\(cursor.shown)`"
      var hint = NearestName.hint(entry.key, in: known, what: "known here")
      if let home = Misplaced.home(of: entry.key, known: known, path: cursor.path) { hint = "`\(entry.key)` belongs in `\(home)`" }
      cursor.error(.unknownKey, "unknown key `\(entry.key.prefix(80))` \(inside)", at: entry.keyPlace, suggestion: hint)
    }
  }

  private func entry(_ key: String) -> Entry? {
    note(key)
    return entries.first { $0.key == key }
  }

  private func note(_ key: String) { if !known.contains(key) { known.append(key) } }
}

/// Keys that are known, but somewhere else.
private enum Misplaced {
  private static let homes: [String: [String]] = [
    "spec": ["health", "run", "drain", "strategy", "route", "placement", "ports", "artifact", "hooks", "tier", "replicas", "fleet"],
    "spec.health": ["readiness", "startTimeout", "minHealthyTime"],
    "spec.health.readiness": ["http", "tcp", "exec", "interval", "rise", "fall"],
    "spec.run": ["command", "env", "secrets", "limits", "user", "runtime"], "spec.run.limits": ["memory", "cpu"],
    "spec.drain": ["preStop", "signal", "killAfter", "longLived"], "spec.route": ["gateway", "balance", "timeouts"],
    "spec.placement": ["spreadBy", "maxSkew", "require"], "spec.strategy": ["rolling", "recreate", "canary", "blueGreen"],
    "spec.strategy.rolling": ["maxUnavailable", "maxSurge", "rackLossFloor", "pauseBetween"], "spec.strategy.recreate": ["queue"],
    "spec.strategy.canary": ["steps", "allow", "deny", "controllerLost"], "spec.strategy.blueGreen": ["preview", "keepOld"],
    "metadata": ["name", "formerly"],
  ]

  /// The other place of a key, in a service; nil in other kinds, where few keys exist.
  static func home(of key: String, known: [String], path: String) -> String? {
    let isService = known.contains("replicas") || path.hasPrefix("spec.") && !path.contains("racks") && !path.contains("ssh")
    guard isService || path.isEmpty else { return nil }
    for (home, keys) in homes.sorted(by: { $0.key < $1.key }) where home != path && keys.contains(key) {
      return home.hasPrefix("spec.") ? String(home.dropFirst(5)) : home
    }
    return nil
  }
}
