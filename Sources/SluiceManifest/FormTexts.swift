extension Form where Output == String {
  /// Any text, not empty; numbers and `true` count as they are written.
  static var text: Form {
    scalar("a text") { (text) throws(Mistake) in
      guard !text.isEmpty else { throw Mistake(problem: "is empty", suggestion: "give it a value, or remove the key") }
      return try noControl(text)
    }
  }

  /// Any text, empty too, without a NUL: what the value of an environment variable can be.
  static var environmentValue: Form {
    scalar("a text") { (text) throws(Mistake) in
      guard !text.unicodeScalars.contains("\0") else { throw Mistake(problem: "holds a NUL", suggestion: "remove it") }
      return text
    }
  }

  /// The name of a fleet, rack, host, gateway or service: it becomes part of paths and unit names.
  static var name: Form {
    scalar("a name such as `shop-1`") { (text) throws(Mistake) in
      let letters = text.utf8
      let isBody = letters.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
      guard isBody, let first = letters.first, let last = letters.last, first != 45, last != 45 else {
        throw Mistake(
          problem: "is not a name",
          suggestion: (repaired(text).map { "write `\($0)`: " } ?? "") + "lower-case letters, digits, and `-` inside")
      }
      guard letters.count <= 40 else {
        throw Mistake(id: .outOfRange, problem: "is too long for a name", suggestion: "at most 40 characters")
      }
      return text
    }
  }

  /// The name of an environment variable.
  static var environmentName: Form {
    scalar("the name of an environment variable") { (text) throws(Mistake) in
      let isBody = Letters.areAll(text, also: "_")
      guard isBody, let first = text.utf8.first, !(48...57).contains(first) else {
        throw Mistake(
          problem: "is not the name of an environment variable", suggestion: "letters, digits and `_`, not beginning with a digit")
      }
      return text
    }
  }

  /// The name of a login or system user.
  static var userName: Form {
    scalar("a user name") { (text) throws(Mistake) in
      let isBody = Letters.areAll(text, also: "-._")
      guard isBody, !text.isEmpty, !text.hasPrefix("-"), text.utf8.count <= 32 else {
        throw Mistake(problem: "is not a user name", suggestion: "letters, digits, `-`, `_` and `.`")
      }
      return text
    }
  }

  /// A label's key or value.
  static var label: Form {
    scalar("a label") { (text) throws(Mistake) in
      let isBody = Letters.areAll(text, also: "-._/")
      guard isBody, !text.isEmpty, text.utf8.count <= 63 else {
        throw Mistake(problem: "is not a label", suggestion: "1 to 63 letters, digits, `-`, `_`, `.` and `/`")
      }
      return text
    }
  }

  /// A path on this machine, relative to the manifest's folder or absolute.
  static var localPath: Form {
    scalar("a path") { (text) throws(Mistake) in
      guard !text.isEmpty else { throw Mistake(problem: "is empty", suggestion: "write a path, relative to the manifest's folder") }
      return try noControl(text)
    }
  }

  /// An absolute directory on a host. Scripts and unit files hold it, so it has only plain characters.
  static var hostDirectory: Form {
    scalar("an absolute path on the host") { (text) throws(Mistake) in
      guard text.hasPrefix("/"), text != "/" else {
        throw Mistake(problem: "is not an absolute directory", suggestion: "write a path such as `/var/lib/sluice`")
      }
      try noParent(text)
      guard Letters.areAll(text, also: "-._/") else {
        throw Mistake(problem: "has characters that Sluice does not use on hosts", suggestion: "letters, digits, `-`, `_`, `.` and `/`")
      }
      return text
    }
  }

  /// A signal, without `SIG`.
  static var signal: Form {
    let known = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL", "ABRT", "ALRM", "WINCH"]
    return scalar("a signal such as `TERM`") { (text) throws(Mistake) in
      let upper = text.uppercased()
      let bare = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
      guard known.contains(bare) else {
        throw Mistake(id: .unknownValue, problem: "is not a signal", suggestion: NearestName.hint(bare, in: known, what: "signals"))
      }
      return bare
    }
  }

  /// Refuses control characters, which no script, header or unit file takes.
  private static func noControl(_ text: String) throws(Mistake) -> String {
    guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw Mistake(problem: "holds a control character", suggestion: "remove it")
    }
    return text
  }

  /// Refuses `..` as a component.
  private static func noParent(_ text: String) throws(Mistake) {
    guard !text.split(separator: "/").contains("..") else {
      throw Mistake(problem: "leaves its directory by `..`", suggestion: "write the path without `..`")
    }
  }

  /// A name that is like the text.
  private static func repaired(_ text: String) -> String? {
    let letters = text.lowercased().utf8.map { (97...122).contains($0) || (48...57).contains($0) ? $0 : 45 }
    let trimmed = letters.drop { $0 == 45 }.reversed().drop { $0 == 45 }.reversed()
    guard !trimmed.isEmpty, trimmed.count <= 40 else { return nil }
    return String(decoding: Array(trimmed), as: UTF8.self)
  }
}

/// ASCII letters and digits, and a few more characters.
enum Letters {
  /// Whether a text has nothing else.
  static func areAll(_ text: some StringProtocol, also others: String) -> Bool {
    text.utf8.allSatisfy { byte in
      (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte) || others.utf8.contains(byte)
    }
  }
}

extension Form where Output == [String] {
  /// A program and its arguments that run on this machine; a relative program is below the manifest's folder.
  static var localCommand: Form { commandLine { _ in nil } }

  /// A program and its arguments. A relative program is below the release's directory and stays there.
  static var command: Form {
    commandLine { program in
      guard program.split(separator: "/").contains("..") else { return nil }
      return Mistake(problem: "leaves the release's directory by `..`", suggestion: "write a path below the release, or an absolute one")
    }
  }

  private static func commandLine(_ check: @escaping (_ program: String) -> Mistake?) -> Form {
    Form { value, cursor in
      if case .scalar(let text) = value.content {
        let words = text.split(separator: " ").joined(separator: ", ")
        cursor.error(
          .wrongType, "`\(cursor.shown)` takes a list, not a single value", at: value.place,
          suggestion: value.isSecret ? "write the program and each argument in brackets" : "write `[\(words)]`")
        return nil
      }
      guard let words = Form.list(of: .environmentValue, atLeast: 1, expected: "a list: the program and its arguments").read(value, cursor),
        let program = words.first
      else { return nil }
      let place = cursor.document.place(cursor.element(0).path)
      let mistake = program.isEmpty ? Mistake(problem: "is empty", suggestion: "name the program first") : check(program)
      if let mistake {
        cursor.error(
          mistake.id, "`\(cursor.shown)`: the program `\(program)` \(mistake.problem)", at: place, suggestion: mistake.suggestion)
      }
      return words
    }
  }
}
