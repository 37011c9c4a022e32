internal import SluiceModel

/// One thing wrong, or doubtful, in a manifest: where, what, and what to write instead.
package struct Diagnostic: Hashable, Codable, Sendable {
  /// An error stops the command; a warning names what will hurt later.
  package enum Severity: String, Codable, Sendable, CaseIterable { case error, warning }

  package var severity: Severity
  package var id: DiagnosticID
  /// One sentence without a full stop. Never holds a value that may be a secret.
  package var message: String
  /// The file as it was named to the reader.
  package var file: String
  /// From 1; 0 when the whole file is meant.
  package var line: Int
  /// From 1, in Unicode scalars; 0 when the whole file is meant.
  package var column: Int
  /// The text of that line, with what may be a secret masked; empty when the whole file is meant.
  package var sourceLine: String
  /// How many scalars the caret underlines, at least 1.
  package var length: Int
  /// What to do about it.
  package var suggestion: String?

  package init(
    severity: Severity, id: DiagnosticID, message: String, file: String, line: Int, column: Int, sourceLine: String, length: Int,
    suggestion: String? = nil
  ) {
    self.severity = severity
    self.id = id
    self.message = message
    self.file = file
    self.line = line
    self.column = column
    self.sourceLine = sourceLine
    self.length = length
    self.suggestion = suggestion
  }

  /// `file:line:column: error: message [id]`, the source line, a caret line and the suggestion, each on a line of its own.
  /// `color` adds ANSI escapes for a terminal.
  package func rendered(color: Bool) -> String {
    let paint = Paint(on: color)
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    let word = paint(severity.rawValue, severity == .error ? Paint.red : Paint.magenta)
    var lines = ["\(paint(PlainText.clean(place), Paint.bold)): \(word): \(PlainText.clean(message)) [\(id.rawValue)]"]
    let number = "\(line)"
    let margin = String(repeating: " ", count: line > 0 ? number.count : 1)
    if line > 0, !sourceLine.isEmpty || column <= 1 {
      lines.append("  \(number) | \(PlainText.clean(sourceLine))")
      lines.append("  \(margin) | \(padding)\(paint(underline, Paint.green))")
    }
    if let suggestion { lines.append("  \(margin) = \(PlainText.clean(suggestion))") }
    return lines.joined(separator: "\n")
  }

  /// Blanks up to the caret; a tab stays a tab, so that the caret stands below its text whatever the width of a tab.
  private var padding: String {
    String(String.UnicodeScalarView(sourceLine.unicodeScalars.prefix(max(column - 1, 0)).map { $0 == "\t" ? "\t" : " " }))
  }

  private var underline: String {
    let room = max(sourceLine.unicodeScalars.count - column + 1, 1)
    return "^" + String(repeating: "~", count: max(min(length, room) - 1, 0))
  }
}

/// What a diagnostic is about: stable, for scripts and for looking it up.
package enum DiagnosticID: String, Codable, Sendable, CaseIterable {
  // Files and YAML.
  case unreadable = "unreadable"
  case noManifests = "no-manifests"
  case syntax = "syntax"
  case tooComplex = "too-complex"
  case unsupportedYAML = "unsupported-yaml"
  // Keys.
  case unknownKey = "unknown-key"
  case duplicateKey = "duplicate-key"
  case missingKey = "missing-key"
  case conflictingKeys = "conflicting-keys"
  case notBuiltYet = "not-built-yet"
  // Values.
  case missingValue = "missing-value"
  case wrongType = "wrong-type"
  case invalidValue = "invalid-value"
  case unknownValue = "unknown-value"
  case outOfRange = "out-of-range"
  case addressNotNumeric = "address-not-numeric"
  case noProgress = "no-progress"
  // Among documents.
  case duplicateName = "duplicate-name"
  case duplicateAddress = "duplicate-address"
  case duplicateRoute = "duplicate-route"
  case unknownReference = "unknown-reference"
  case noFleet = "no-fleet"
  case wrongFleet = "wrong-fleet"
  // Warnings.
  case drainBelowResponse = "drain-below-response"
  case surgeWithoutSlot = "surge-without-slot"
  case tooFewSlots = "too-few-slots"
  case noMinHealthyTime = "no-min-healthy-time"
  case probeTimeout = "probe-timeout"
  case startTimeoutTooShort = "start-timeout-too-short"
  case progressDeadlineTooShort = "progress-deadline-too-short"
  case rackLossFloorUnreachable = "rack-loss-floor-unreachable"
  case dropsToZero = "drops-to-zero"
  case queueWithoutRoute = "queue-without-route"
  case canaryTooSmall = "canary-too-small"
  case canaryNeverJudged = "canary-never-judged"
  case canaryWithoutUsers = "canary-without-users"
  case noLeastDifference = "no-least-difference"
  case secureCookieOverHTTP = "secure-cookie-over-http"
  case secretInEnv = "secret-in-env"
  case unknownPlaceholder = "unknown-placeholder"
  case portTaken = "port-taken"
  case sharedServiceAddress = "shared-service-address"
  case fileMissing = "file-missing"
}

/// ANSI colours, or none.
private struct Paint {
  static let bold = "1", red = "1;31", magenta = "1;35", green = "32"
  let on: Bool

  func callAsFunction(_ text: String, _ code: String) -> String { on ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}
