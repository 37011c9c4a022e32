import Testing

/// A change that makes something sound wrong, and words that the refusal must have.
struct Breaking<Subject>: Sendable, CustomTestStringConvertible {
  var words: String
  var change: @Sendable (inout Subject) -> Void
  var testDescription: String { words }

  init(_ words: String, _ change: @escaping @Sendable (inout Subject) -> Void) {
    self.words = words
    self.change = change
  }
}
