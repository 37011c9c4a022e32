import Testing

@testable import SluiceManifest

@Suite struct DiagnosticTests {
  @Test func `A diagnostic prints place, source line, caret and suggestion`() {
    let diagnostic = Diagnostic(
      severity: .warning, id: .dropsToZero, message: "it drops", file: "a.yaml", line: 12, column: 4, sourceLine: "\tx: one", length: 3,
      suggestion: "write two")
    #expect(
      diagnostic.rendered(color: false)
        == "a.yaml:12:4: warning: it drops [drops-to-zero]\n  12 | \tx: one\n     | \t  ^~~\n     = write two")
  }

  @Test func `Colours change nothing but the escapes`() {
    let diagnostic = Diagnostic(
      severity: .error, id: .syntax, message: "no", file: "a.yaml", line: 1, column: 1, sourceLine: "x", length: 9)
    let colored = diagnostic.rendered(color: true)
    #expect(colored.contains("\u{1B}[1;31merror\u{1B}[0m"))
    var plain = ""
    var inEscape = false
    for character in colored {
      if character == "\u{1B}" { inEscape = true }
      if !inEscape { plain.append(character) }
      if character == "m" { inEscape = false }
    }
    #expect(plain == diagnostic.rendered(color: false))
  }

  @Test(arguments: [
    ("replica", "replicas"), ("tset", "test"), ("LeastConnection", "leastConnections"), ("least", "leastConnections"), ("x", nil),
    ("completely", nil), ("", nil),
  ])
  func `The nearest name is what was meant`(_ text: String, _ name: String?) {
    #expect(NearestName.of(text, in: ["replicas", "test", "leastConnections", "ab"]) == name)
  }

  @Test(arguments: [("kitten", "sitting", 3), ("ab", "ba", 1), ("", "abc", 3), ("same", "same", 0), ("roling", "rolling", 1)])
  func `Edits are counted`(_ left: String, _ right: String, _ count: Int) {
    #expect(NearestName.edits(Array(left.unicodeScalars), Array(right.unicodeScalars)) == count)
  }

  @Test func `Ids are unique and in kebab case`() {
    #expect(DiagnosticID.allCases.allSatisfy { $0.rawValue.allSatisfy { $0.isLowercase || $0 == "-" } })
  }

  @Test(arguments: [
    ("http://user:word@host/", true), ("http://user@host/", false), ("http://host/a:b@c", false), ("a:b@c", false),
  ])
  func `A URL with a password is a secret`(_ text: String, _ isSecret: Bool) {
    #expect(SecretMask.isSecret(value: text) == isSecret)
  }

  @Test func `a place far out in a line is named, and the line not shown`() {
    let far = Diagnostic(
      severity: .error, id: .syntax, message: "no", file: "a.yaml", line: 1, column: 1_000_003, sourceLine: "", length: 1)
    #expect(far.rendered(color: false) == "a.yaml:1:1000003: error: no [syntax]")
    let line = String(repeating: "a", count: 2_000)
    let source = SourceText(ManifestSource(name: "a.yaml", text: line, baseDirectory: "/"))
    #expect(source.shown(Place(source: 0, line: 1, column: 1_500, length: 1)).isEmpty)
    #expect(source.shown(Place(source: 0, line: 1, column: 900, length: 1)).count < 1_000)
  }
}
