/// A path into JSON: the part of JSONPath (RFC 9535) with names and indices only, as `$.data[0].value`.
package struct JSONPath: Sendable {
  package enum Step: Hashable, Sendable {
    case name(String)
    /// From 0.
    case index(Int)
  }

  package let steps: [Step]

  /// nil where it is none, or holds what is not understood (`..`, `*`, filters, quotes).
  package init?(_ text: String) {
    guard text.first == "$" else { return nil }
    var steps: [Step] = []
    var rest = text.dropFirst()
    while let first = rest.first {
      if first == "." {
        let name = rest.dropFirst().prefix { $0 != "." && $0 != "[" }
        guard !name.isEmpty, !name.contains(where: { "*?@]'\"".contains($0) || $0.isWhitespace }) else { return nil }
        steps.append(.name(String(name)))
        rest = rest.dropFirst(name.count + 1)
      } else {
        guard first == "[", let end = rest.firstIndex(of: "]") else { return nil }
        let digits = rest[rest.index(after: rest.startIndex)..<end]
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let index = Int(digits) else { return nil }
        steps.append(.index(index))
        rest = rest[rest.index(after: end)...]
      }
    }
    self.steps = steps
  }
}
