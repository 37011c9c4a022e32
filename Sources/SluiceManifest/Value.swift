/// A piece of a YAML document with its place: aliases and merge keys are resolved, and every key of a mapping is there once.
struct Value {
  indirect enum Content {
    /// Nothing, `~` or `null`.
    case null
    case scalar(String)
    case list([Value])
    case mapping([Entry])
  }

  var content: Content
  var place: Place
  /// Its text must not appear in a diagnostic.
  var isSecret = false

  /// What it is, for people.
  var kindDescription: String {
    switch content {
    case .null: "nothing"
    case .scalar: "a single value"
    case .list: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// A key of a mapping and what it stands for.
struct Entry {
  var key: String
  var keyPlace: Place
  var value: Value
}
