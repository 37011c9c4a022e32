import Yams

/// What libYAML says about text that is not YAML, in words that help.
struct YAMLProblem {
  var id = DiagnosticID.syntax
  var message: String
  /// From 1, in the text that was parsed.
  var line = 1
  var column = 1
  var suggestion: String?

  /// `lineOffset` is how many lines of the file come before the text.
  init(_ error: any Error, text: String, lineOffset: Int) {
    switch error as? YamlError {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      message = "not valid YAML: \(problem)"
      (line, column) = (mark.line, mark.column)
      if let context, !context.text.isEmpty {
        message += " \(context.text)"
        if problem.contains("end of stream") {
          (line, column) = (context.mark.line, context.mark.column)
        } else if context.mark.line != mark.line {
          message += " that begins in line \(context.mark.line + lineOffset)"
        }
      }
      suggestion = YAMLProblem.suggestion(for: problem, at: mark, in: text)
    case .reader(let problem, let offset, _, _):
      message = "not valid YAML: \(problem)"
      if let offset, let index = text.index(text.startIndex, offsetBy: offset, limitedBy: text.endIndex) {
        let before = text[..<index].unicodeScalars
        line = before.count { $0 == "\n" } + 1
        column = before.reversed().prefix { $0 != "\n" }.count + 1
      }
      suggestion = "remove the control character"
    case .duplicatedKeysInMapping(_, let context):
      id = .duplicateKey
      message = "a key of this mapping is given twice"
      (line, column) = (max(context.mark.line, 1), max(context.mark.column, 1))
    default: message = "not valid YAML"
    }
  }

  private static func suggestion(for problem: String, at mark: Mark, in text: String) -> String? {
    let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    let line = lines.indices.contains(mark.line - 1) ? Array(lines[mark.line - 1]) : []
    let scalar = line.indices.contains(mark.column - 1) ? line[mark.column - 1] : nil
    if problem.contains("cannot start any token") {
      if scalar == "\t" { return "indent with spaces, not tabs" }
      return "put the value in double quotes"
    }
    if problem.contains("mapping values are not allowed") {
      return "a plain value holds no `: `: put it in double quotes, or check the indentation"
    }
    if problem.contains("undefined alias") {
      return "a value that begins with `*` needs quotes; an alias needs its anchor (`&name`) above it"
    }
    if problem.contains("end of stream") { return "the quote or bracket that begins here is not closed" }
    if problem.contains("expected") { return "check the indentation of this line and the one above, and for quotes or brackets left open" }

    return nil
  }
}
