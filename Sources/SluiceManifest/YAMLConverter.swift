import Yams

/// Turns Yams' nodes into values: resolves merge keys, reports duplicate keys, and finds what must not be shown.
struct YAMLConverter {
  let source: Int
  /// Lines of the source before the text that was parsed.
  let lineOffset: Int
  let report: Report
  /// The first scalar of a key that was renamed to get past Yams' own check, by line and column of the parsed text.
  let renamedKey: (_ line: Int, _ column: Int) -> Unicode.Scalar?
  /// How many values there may be: more than the text has characters come only from aliases that multiply.
  private var budget: Int

  init(source: Int, lineOffset: Int, size: Int, report: Report, renamedKey: @escaping (_ line: Int, _ column: Int) -> Unicode.Scalar?) {
    self.source = source
    self.lineOffset = lineOffset
    self.report = report
    budget = size + 10_000
    self.renamedKey = renamedKey
  }

  /// Why something is hidden: by the name of its key, or since it is the value of a variable that goes to the instance.
  private enum Secrecy { case open, secret, secrets }

  /// The tree below a node; nil, with a diagnostic, when it is too large.
  mutating func value(_ node: Node) -> Value? {
    let value = value(node, .open)
    guard budget > 0 else {
      report.isIncomplete = true
      report.error(
        .tooComplex, "this document is too large, or its aliases multiply", at: value.place, suggestion: "split it into several files")
      return nil
    }
    return value
  }

  private mutating func value(_ node: Node, _ secrecy: Secrecy) -> Value {
    budget -= 1
    guard budget > 0 else { return Value(content: .null, place: place(node.mark, length: 1)) }
    checkTag(node)
    switch node {
    case .scalar(let scalar):
      let place = place(of: scalar)
      if scalar.style == .plain, ["", "~", "null", "Null", "NULL"].contains(scalar.string) { return Value(content: .null, place: place) }
      let isSecret = secrecy != .open || SecretMask.isSecret(value: scalar.string)
      if isSecret { hide(place, scalar) }
      return Value(content: .scalar(scalar.string), place: place, isSecret: isSecret)
    case .sequence(let sequence):
      var values: [Value] = []
      for node in sequence { values.append(value(node, secrecy)) }
      return Value(content: .list(values), place: place(sequence.mark, length: 1))
    case .mapping(let mapping): return Value(content: .mapping(entries(mapping, secrecy)), place: place(mapping.mark, length: 1))
    case .alias(let alias): return Value(content: .null, place: place(alias.mark, length: 1))
    }
  }

  private mutating func entries(_ mapping: Node.Mapping, _ secrecy: Secrecy) -> [Entry] {
    var own: [Entry] = []
    var merged: [Entry] = []
    var places: [String: Place] = [:]
    for (keyNode, valueNode) in mapping {
      guard budget > 0 else { break }
      guard case .scalar(let scalar) = keyNode else {
        report.error(.unsupportedYAML, "a key must be a single word", at: place(keyNode.mark, length: 1))
        continue
      }
      let key = name(of: scalar)
      let keyPlace = place(of: scalar)
      if key == "<<", scalar.style == .plain {
        merged += merge(value(valueNode, secrecy), at: keyPlace)
        continue
      }
      let value = value(valueNode, Self.secrecy(of: key, in: secrecy))
      if let first = places[key] {
        report.error(
          .duplicateKey, "`\(key)` is given twice", at: keyPlace,
          suggestion: "it is also given in \(report.describe(first, from: keyPlace)); keep one of them")
      } else {
        places[key] = keyPlace
        own.append(Entry(key: key, keyPlace: keyPlace, value: value))
      }
    }
    for entry in merged where places[entry.key] == nil {
      places[entry.key] = entry.keyPlace
      own.append(entry)
    }
    return own
  }

  /// The entries that `<<` brings: of one mapping, or of several of which the first wins.
  private func merge(_ value: Value, at place: Place) -> [Entry] {
    switch value.content {
    case .mapping(let entries): return entries
    case .list(let values): return values.flatMap { merge($0, at: place) }
    case .null, .scalar:
      report.error(.unsupportedYAML, "`<<` merges mappings, not \(value.kindDescription)", at: place, suggestion: "write `<<: *anchor`")
      return []
    }
  }

  /// A secret's source is shown only where the manifest says which one; whatever else stands there may be the secret itself.
  private static func secrecy(of key: String, in outer: Secrecy) -> Secrecy {
    if outer == .secret { return .secret }
    if outer == .secrets { return ["fromEnv", "fromFile", "fromCommand"].contains(key) ? .open : .secrets }
    if key == "secrets" { return .secrets }
    return SecretMask.isSecret(key: key) ? .secret : .open
  }

  private func name(of scalar: Node.Scalar) -> String {
    guard let mark = scalar.mark, let first = renamedKey(mark.line, mark.column) else { return scalar.string }
    return String(first) + String(scalar.string.unicodeScalars.dropFirst())
  }

  private static let knownTags = Set(
    ["str", "int", "float", "bool", "null", "map", "seq"].map { "tag:yaml.org,2002:\($0)" })

  private func checkTag(_ node: Node) {
    let (tag, mark) =
      switch node {
      case .scalar(let scalar): (scalar.tag, scalar.mark)
      case .sequence(let sequence): (sequence.tag, sequence.mark)
      case .mapping(let mapping): (mapping.tag, mapping.mark)
      case .alias(let alias): (alias.tag, alias.mark)
      }
    let name = tag.description
    guard !name.isEmpty, !Self.knownTags.contains(name) else { return }
    report.error(.unsupportedYAML, "the tag `\(name)` means nothing in a manifest", at: place(mark, length: 1), suggestion: "remove it")
  }

  private func place(_ mark: Mark?, length: Int) -> Place {
    guard let mark else { return .file(source) }
    return Place(source: source, line: mark.line + lineOffset, column: mark.column, length: length)
  }

  /// A scalar's place with its length on its first line, quotes included.
  private func place(of scalar: Node.Scalar) -> Place {
    var place = place(scalar.mark, length: 1)
    let line = report.sources[source].scalars(ofLine: place.line)
    guard place.column - 1 < line.count, place.column > 0 else { return place }
    let rest = line[(place.column - 1)...]
    if let quote = rest.first, quote == "\"" || quote == "'" {
      place.length = quotedLength(rest, quote)
    } else {
      let text = name(of: scalar).unicodeScalars
      place.length = rest.starts(with: text) ? max(text.count, 1) : 1
    }
    return place
  }

  /// The length with both quotes, or to the line's end when the closing one is on another line.
  private func quotedLength(_ rest: ArraySlice<Unicode.Scalar>, _ quote: Unicode.Scalar) -> Int {
    var index = rest.startIndex + 1
    while index < rest.endIndex {
      if rest[index] == quote {
        guard quote == "'", index + 1 < rest.endIndex, rest[index + 1] == "'" else { return index + 1 - rest.startIndex }
        index += 2
      } else {
        index += quote == "\"" && rest[index] == "\\" ? 2 : 1
      }
    }
    return rest.count
  }

  private func hide(_ place: Place, _ scalar: Node.Scalar) {
    report.sources[source].mask(place)
    let line = report.sources[source].scalars(ofLine: place.line)
    let shown = String(String.UnicodeScalarView(line.dropFirst(place.column - 1).prefix(place.length)))
    // Over several lines, or behind a tag or an anchor: the rest of the line may hold some of it.
    let isWhole =
      scalar.style == .plain ? shown == scalar.string : place.column - 1 + place.length < line.count || shown.last == shown.first
    if !isWhole || scalar.string.contains("\n") { report.sources[source].mask(line: place.line, from: place.column) }
  }
}
