/// Collects the diagnostics of one reading, over all its files.
final class Report {
  /// In the order of the command line.
  var sources: [SourceText]
  private var found: [(order: Int, place: Place, diagnostic: Diagnostic)] = []
  /// Whether some document could not be understood at all, so that what it declares is not known.
  var isIncomplete = false

  init(sources: [SourceText]) { self.sources = sources }

  /// Adds one. The source line is filled in at the end, when all that must be masked is known.
  func add(_ severity: Diagnostic.Severity, _ id: DiagnosticID, _ message: String, at place: Place, suggestion: String? = nil) {
    let diagnostic = Diagnostic(
      severity: severity, id: id, message: Report.printable(message), file: sources[place.source].source.name, line: place.line,
      column: place.column, sourceLine: "", length: max(place.length, 1), suggestion: suggestion.map(Report.printable))
    found.append((found.count, place, diagnostic))
  }

  /// Adds an error.
  func error(_ id: DiagnosticID, _ message: String, at place: Place, suggestion: String? = nil) {
    add(.error, id, message, at: place, suggestion: suggestion)
  }

  /// Adds a warning.
  func warning(_ id: DiagnosticID, _ message: String, at place: Place, suggestion: String? = nil) {
    add(.warning, id, message, at: place, suggestion: suggestion)
  }

  /// Whether there is an error so far.
  var hasErrors: Bool { found.contains { $0.diagnostic.severity == .error } }

  /// All of them by file, line and column, those of one place in the order they were found; each once.
  var diagnostics: [Diagnostic] {
    let ordered = found.sorted {
      ($0.place.source, $0.place.line, $0.place.column, $0.order) < ($1.place.source, $1.place.line, $1.place.column, $1.order)
    }
    var seen: Set<Diagnostic> = []
    return ordered.compactMap { _, place, diagnostic in
      var diagnostic = diagnostic
      if place.line > 0 { diagnostic.sourceLine = sources[place.source].shown(place) }
      return seen.insert(diagnostic).inserted ? diagnostic : nil
    }
  }

  /// Where a place is, for a note in another diagnostic.
  func describe(_ place: Place, from other: Place) -> String {
    place.source == other.source ? "line \(place.line)" : "\(sources[place.source].source.name):\(place.line)"
  }

  /// Without control characters, which would end the line or steer the terminal.
  private static func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
  }
}
