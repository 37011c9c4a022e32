/// How one kind of value is written, and how to read it. What does not fit is reported and gives nil.
struct Form<Output> {
  let read: (Value, Cursor) -> Output?
  /// An empty `key:` counts as `key: {}`.
  var acceptsNothing = false
}

/// Why a scalar is not what it should be.
struct Mistake: Error {
  var id = DiagnosticID.invalidValue
  /// Follows the value: `is not a duration`.
  var problem: String
  var suggestion: String?
}

extension Form {
  /// A single value. `expected` follows "takes": `a duration such as 10s`.
  static func scalar(_ expected: String, _ parse: @escaping (String) throws(Mistake) -> Output) -> Form {
    Form { value, cursor in
      guard case .scalar(let text) = value.content else {
        cursor.wrongType(value, expected: expected)
        return nil
      }
      do throws(Mistake) { return try parse(text) } catch {
        let subject = value.isSecret ? "what stands here, hidden as it may be a secret," : "`\(text.prefix(80))`"
        cursor.error(
          error.id, "`\(cursor.shown)`: \(subject) \(error.problem)", at: value.place,
          suggestion: value.isSecret ? "it takes \(expected)" : error.suggestion)
        return nil
      }
    }
  }

  /// One word of a few.
  static func choice(_ choices: [(word: String, value: Output)], notBuilt: [String] = []) -> Form {
    let words = choices.map(\.word)
    let listed = words.map { "`\($0)`" }.joined(separator: ", ")
    return scalar(words.count == 1 ? listed : "one of \(listed)") { (text) throws(Mistake) in
      if let choice = choices.first(where: { $0.word == text }) { return choice.value }
      if notBuilt.contains(text) {
        throw Mistake(id: .notBuiltYet, problem: "is not built yet", suggestion: "use \(words.count == 1 ? listed : "one of \(listed)")")
      }
      throw Mistake(id: .unknownValue, problem: "is not known here", suggestion: NearestName.hint(text, in: words, what: "what it can be"))
    }
  }

  /// A mapping with given keys; those that `body` did not ask for are reported.
  static func object(acceptsNothing: Bool = false, _ body: @escaping (MappingReader) -> Output?) -> Form {
    Form(
      read: { value, cursor in
        guard let reader = MappingReader(value, cursor, acceptsNothing: acceptsNothing) else { return nil }
        defer { reader.finish() }
        return body(reader)
      }, acceptsNothing: acceptsNothing)
  }

  /// A list; elements that are wrong are reported and left out.
  static func list<Element>(of form: Form<Element>, atLeast minimum: Int = 0, expected: String) -> Form where Output == [Element] {
    Form { value, cursor in
      guard case .list(let values) = value.content else {
        cursor.wrongType(value, expected: expected, suggestion: "write it in brackets: `[ … ]`")
        return nil
      }
      if values.count < minimum {
        cursor.error(.missingValue, "`\(cursor.shown)` is empty", at: value.place, suggestion: "it takes \(expected)")
        return nil
      }
      return values.enumerated().compactMap { index, value in
        let cursor = cursor.element(index)
        cursor.document.note(cursor.path, at: value.place)
        return form.read(value, cursor)
      }
    }
  }

  /// A mapping whose keys are free, within a form of their own.
  static func table<Element>(keys: Form<String>, values: Form<Element>) -> Form where Output == [String: Element] {
    Form { value, cursor in
      guard case .mapping(let entries) = value.content else {
        cursor.wrongType(value, expected: "a mapping")
        return nil
      }
      var table: [String: Element] = [:]
      for entry in entries {
        let key = Value(content: .scalar(entry.key), place: entry.keyPlace)
        guard keys.read(key, cursor) != nil else { continue }
        let cursor = cursor.key(entry.key)
        cursor.document.note(cursor.path, at: entry.keyPlace)
        if let value = values.read(entry.value.placed(for: entry), cursor) { table[entry.key] = value }
      }
      return table
    }
  }

  /// What this form gives, changed; a mistake there is reported at the value.
  func map<Other>(_ change: @escaping (Output) -> Other) -> Form<Other> {
    Form<Other>(read: { value, cursor in read(value, cursor).map(change) }, acceptsNothing: acceptsNothing)
  }
}

extension Form where Output: CaseIterable & RawRepresentable, Output.RawValue == String {
  /// One of an enumeration's cases, by its raw value.
  static func oneOf(_ type: Output.Type, notBuilt: [String] = []) -> Form {
    choice(type.allCases.map { ($0.rawValue, $0) }, notBuilt: notBuilt)
  }
}

extension Value {
  /// With nothing as its content, a value has no place of its own: the key's is used.
  func placed(for entry: Entry) -> Value {
    guard case .null = content else { return self }
    return Value(content: content, place: entry.keyPlace, isSecret: isSecret)
  }
}
