/// Where the reading of a document stands: the key path, and where its diagnostics go.
struct Cursor {
  let document: Document
  /// `spec.route.timeouts`, `spec.racks[0].name`; empty at the document's top.
  let path: String
  /// How what stands here may be written: `listen: [{ address: 0.0.0.0, port: 80 }]`; nil: that needs no example.
  var example: String?

  /// The path as messages show it: the part that a person would look for.
  var shown: String { path.hasPrefix("spec.") ? String(path.dropFirst(5)) : path }

  /// The cursor of a key below.
  func key(_ name: String) -> Cursor { Cursor(document: document, path: path.isEmpty ? name : "\(path).\(name)") }

  /// The cursor of a list's element.
  func element(_ index: Int) -> Cursor { Cursor(document: document, path: "\(path)[\(index)]", example: example) }

  /// Reports an error about what stands here.
  func error(_ id: DiagnosticID, _ message: String, at place: Place, suggestion: String? = nil) {
    document.hasErrors = true
    document.report.error(id, message, at: place, suggestion: suggestion)
  }

  /// Reports a warning about what stands here.
  func warning(_ id: DiagnosticID, _ message: String, at place: Place, suggestion: String? = nil) {
    document.report.warning(id, message, at: place, suggestion: suggestion)
  }

  /// Reports that something else was expected here.
  func wrongType(_ value: Value, expected: String, suggestion: String? = nil) {
    let subject = path.isEmpty ? "a document" : "`\(shown)`"
    if case .null = value.content {
      error(.missingValue, "\(subject) has no value", at: value.place, suggestion: "give it \(expected), or remove the key")
    } else {
      error(
        .wrongType, "\(subject) takes \(expected), not \(value.kindDescription)", at: value.place,
        suggestion: suggestion ?? example.map { "write it like `\($0)`" })
    }
  }
}

/// One YAML document while it is read and checked: remembers where each key path stands, for checks that come later.
final class Document {
  let report: Report
  /// The document as a whole.
  let place: Place
  /// Relative paths start there.
  let baseDirectory: String
  private var places: [String: Place] = [:]
  /// Whether anything in it was wrong: then checks of what its values mean together are left for the next time.
  var hasErrors = false

  init(report: Report, place: Place) {
    self.report = report
    self.place = place
    baseDirectory = report.sources[place.source].source.baseDirectory
  }

  /// Remembers where a path stands.
  func note(_ path: String, at place: Place) { places[path] = place }

  /// Whether the manifest gives that path.
  func has(_ path: String) -> Bool { places[path] != nil }

  /// Where a path stands, or where the nearest mapping around it does.
  func place(_ path: String) -> Place {
    var path = path[...]
    while true {
      if let place = places[String(path)] { return place }
      guard let dot = path.lastIndex(of: ".") else { return place }
      path = path[..<dot]
    }
  }
}
