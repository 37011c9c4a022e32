/// One file to read, or text given by a test.
package struct ManifestSource: Hashable, Sendable {
  /// What diagnostics call it.
  package var name: String
  package var text: String
  /// Where relative paths of its services start.
  package var baseDirectory: String

  package init(name: String, text: String, baseDirectory: String) {
    self.name = name
    self.text = text
    self.baseDirectory = baseDirectory
  }
}

/// A stretch of one line of one source.
struct Place: Hashable {
  /// Index into the sources of this reading.
  var source: Int
  /// From 1; 0 means the whole file.
  var line: Int
  /// From 1, in Unicode scalars.
  var column: Int
  /// In Unicode scalars.
  var length: Int

  /// The file as a whole.
  static func file(_ source: Int) -> Place { Place(source: source, line: 0, column: 0, length: 1) }
}

/// The lines of a source as diagnostics show them, and the places in them that must not be shown.
struct SourceText {
  let source: ManifestSource
  /// Scalars of each line, without its end.
  private(set) var lines: [[Unicode.Scalar]]
  private var masks: [Int: [Range<Int>]] = [:]

  init(_ source: ManifestSource) {
    self.source = source
    lines = SourceText.lines(of: source.text)
  }

  /// Splits at every line break of YAML 1.1 (section 4.2), as libYAML counts lines: LF, CR, CR LF, NEL, LS and PS. A byte order mark is no text.
  private static func lines(of text: String) -> [[Unicode.Scalar]] {
    var lines: [[Unicode.Scalar]] = [[]]
    var last: Unicode.Scalar = "\0"
    for scalar in text.unicodeScalars.first == "\u{FEFF}" ? text.unicodeScalars.dropFirst() : text.unicodeScalars[...] {
      switch scalar {
      case "\n" where last == "\r": break
      case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": lines.append([])
      default: lines[lines.count - 1].append(scalar)
      }
      last = scalar
    }
    return lines
  }

  /// The scalars of a line, from 1; none past the end.
  func scalars(ofLine line: Int) -> [Unicode.Scalar] { lines.indices.contains(line - 1) ? lines[line - 1] : [] }

  /// From now on, what lies there is shown as dots.
  mutating func mask(_ place: Place) { masks[place.line, default: []].append(place.column - 1..<place.column - 1 + place.length) }

  /// Masks a line from a column, counted from 1, to its end.
  mutating func mask(line: Int, from column: Int) {
    let count = scalars(ofLine: line).count
    guard column <= count else { return }
    masks[line, default: []].append(column - 1..<count)
  }

  /// A line for people: without control characters, what is masked as dots, and what lies far behind `place` cut off. Empty where what comes before
  /// it would fill the screen.
  func shown(_ place: Place) -> String {
    if place.column > 1_000 { return "" }
    let line = place.line
    var scalars = scalars(ofLine: line).map { $0.value < 0x20 && $0 != "\t" || (0x7F...0x9F).contains($0.value) ? "\u{FFFD}" : $0 }
    for range in masks[line] ?? [] { for index in range.clamped(to: 0..<scalars.count) { scalars[index] = "•" } }
    let end = max(place.column + min(place.length, 100) + 40, 160)
    return String(String.UnicodeScalarView(scalars.prefix(end))) + (scalars.count > end ? " …" : "")
  }
}
