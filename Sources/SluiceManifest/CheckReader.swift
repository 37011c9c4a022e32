import SluiceModel

extension Form where Output == [AnalysisCheck] {
  /// The `checks` of an analysis.
  static var checks: Form {
    Form { value, cursor in
      let list = Form<[AnalysisCheck]>.list(of: .check, atLeast: 1, expected: "a list of checks").read(value, cursor)
      for (index, check) in (list ?? []).enumerated() where list?[..<index].contains(where: { $0.name == check.name }) == true {
        cursor.error(
          .conflictingKeys, "two checks are named `\(check.name)`", at: cursor.document.place(cursor.element(index).path),
          suggestion: "give each its own name: `rollout why` tells them apart by it")
      }
      return list
    }
  }
}

extension Form where Output == AnalysisCheck {
  /// One check.
  static var check: Form {
    object { reader in
      reader.notBuilt("prometheus")
      let name = reader.required("name", .name, example: "name: smoke")
      let command = reader.optional("command", .localCommand).map { AnalysisCheck.Kind.command($0, directory: "") }
      let http = reader.optional("http", .httpCheck)
      _ = reader.exactlyOne(of: ["command", "http"], notBuilt: ["prometheus"])
      guard let name, let kind = command ?? http else { return nil }
      let defaults = AnalysisCheck(name: name, kind: kind)
      return AnalysisCheck(
        name: name, kind: kind,
        interval: reader.optional("interval", .duration(.init(100) ... .seconds(86_400)), default: defaults.interval),
        timeout: reader.optional("timeout", .positiveDuration, default: defaults.timeout),
        count: reader.optional("count", .number(1...10_000), default: defaults.count),
        failureLimit: reader.optional("failureLimit", .number(0...10_000), default: defaults.failureLimit))
    }
  }
}

extension Form where Output == AnalysisCheck.Kind {
  /// The `http` of a check.
  static var httpCheck: Form {
    object { reader in
      reader.notBuilt("headers", "method", "body")
      let url = reader.required("url", .httpAddress, example: "url: https://metrics.example.com/shop")
      let json = reader.optional("json", .jsonPath)
      let equals = reader.optional("equals", .text)
      if equals != nil, !reader.has("json") {
        reader.cursor.error(
          .missingKey, "`equals` needs `json`: where in the answer the value is", at: reader.place, suggestion: "write `json: $.status`")
      }
      return url.map { .http(url: $0, json: json, equals: equals) }
    }
  }
}

extension Form where Output == String {
  fileprivate static var httpAddress: Form {
    scalar("an address such as `https://metrics.example.com/shop`") { (text) throws(Mistake) in
      guard text.hasPrefix("http://") || text.hasPrefix("https://"), !text.contains(where: { $0.isWhitespace || $0.isNewline }) else {
        throw Mistake(problem: "is no address of a web server", suggestion: "begin it with `https://` or `http://`")
      }
      return text
    }
  }

  /// Names and indices only, of RFC 9535.
  fileprivate static var jsonPath: Form {
    scalar("a path into JSON such as `$.data[0].value`") { (text) throws(Mistake) in
      guard JSONPath(text) != nil else {
        throw Mistake(
          problem: "is no path into JSON that is understood", suggestion: "write names and indices after `$`: `$.data[0].value`")
      }
      return text
    }
  }
}
