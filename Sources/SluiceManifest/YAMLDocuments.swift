import Yams

/// Reads the YAML documents of one source. A document that is not YAML does not hide the others.
struct YAMLDocuments {
  private let source: Int
  private let report: Report

  init(source: Int, report: Report) {
    self.source = source
    self.report = report
  }

  /// The documents that could be read; those with nothing in them are left out.
  func read() -> [Value] {
    let lines = report.sources[source].lines
    guard isShallow(lines) else { return [] }
    return chunks(of: lines).flatMap { documents(in: Chunk(lines: Array(lines[$0]), offset: $0.lowerBound)) }
  }

  /// The text between two `---`.
  private struct Chunk {
    var lines: [[Unicode.Scalar]]
    /// Lines of the source before it.
    let offset: Int

    var text: String { String(String.UnicodeScalarView(lines.joined(separator: ["\n"]))) }
  }

  /// A key that was altered so that Yams takes a mapping with duplicates: its place in the chunk, and the scalar that was replaced.
  private struct Renamed: Hashable {
    let line: Int
    let column: Int
  }

  /// Splits before lines that begin with `---` and behind `...`, which YAML takes as a document's start and end wherever they stand.
  private func chunks(of lines: [[Unicode.Scalar]]) -> [Range<Int>] {
    var starts = [0]
    var onlyDirectives = true
    for (index, line) in lines.enumerated() {
      if line.starts(with: "---".unicodeScalars), line.count == 3 || line[3] == " " || line[3] == "\t" {
        if !onlyDirectives { starts.append(index) }
        onlyDirectives = false
      } else if line.starts(with: "...".unicodeScalars), line.dropFirst(3).allSatisfy({ $0 == " " }) {
        starts.append(index + 1)
        onlyDirectives = true
      } else if let first = line.first(where: { $0 != " " && $0 != "\t" }), first != "#", line.first != "%" {
        onlyDirectives = false
      }
    }
    return zip(starts, starts.dropFirst() + [lines.count]).map { $0..<$1 }
  }

  private func documents(in chunk: Chunk) -> [Value] {
    var chunk = chunk
    var renamed: [Renamed: Unicode.Scalar] = [:]
    while true {
      do {
        let text = chunk.text
        let parser = try Parser(yaml: text, resolver: .basic)
        var converter = YAMLConverter(source: source, lineOffset: chunk.offset, size: text.utf8.count, report: report) { line, column in
          renamed[Renamed(line: line, column: column)]
        }
        var values: [Value] = []
        while let root = try parser.nextRoot() {
          guard let value = converter.value(root) else { return values }
          if case .null = value.content { continue }
          values.append(value)
        }
        return values
      } catch YamlError.duplicatedKeysInMapping(_, let context) where rename(&chunk, &renamed, context.mark) {
        // Yams gives up at the first duplicate; with another name for it the rest can be read, and the converter reports the duplicate.
        continue
      } catch {
        report.isIncomplete = true
        add(error, in: chunk)
        return []
      }
    }
  }

  /// Gives the key at that place a name that no other has, by one private-use scalar in place of its first. False when that cannot be done.
  private func rename(_ chunk: inout Chunk, _ renamed: inout [Renamed: Unicode.Scalar], _ mark: Mark) -> Bool {
    let place = Renamed(line: mark.line, column: mark.column)
    guard renamed[place] == nil, renamed.count < 1000, chunk.lines.indices.contains(mark.line - 1) else { return false }
    let line = chunk.lines[mark.line - 1]
    var column = mark.column - 1
    guard column >= 0, column < line.count else { return false }
    if line[column] == "\"" || line[column] == "'" { column += 1 }
    guard column < line.count, let name = Unicode.Scalar(0xE000 + UInt32(renamed.count)) else { return false }
    let original = line[column]
    guard original.properties.isAlphabetic || original == "_" || ("0"..."9").contains(original) else { return false }
    chunk.lines[mark.line - 1][column] = name
    renamed[place] = original
    return true
  }

  /// Refuses what would take the parser, which recurses, too deep. Brackets are counted wherever they stand, so this errs on the strict side.
  private func isShallow(_ lines: [[Unicode.Scalar]]) -> Bool {
    var depth = 0
    for (index, line) in lines.enumerated() {
      for (column, scalar) in line.enumerated() {
        if scalar == "[" || scalar == "{" { depth += 1 }
        if scalar == "]" || scalar == "}" { depth = max(depth - 1, 0) }
        if depth > 100 { return refuse(line: index + 1, column: column + 1) }
      }
      if line.prefix(while: { " -?:".unicodeScalars.contains($0) }).count > 400 { return refuse(line: index + 1, column: 401) }
    }
    return true
  }

  private func refuse(line: Int, column: Int) -> Bool {
    report.isIncomplete = true
    hide(line: line)
    report.error(
      .tooComplex, "nested too deeply for a manifest", at: Place(source: source, line: line, column: column, length: 1),
      suggestion: "close brackets that are left open")
    return false
  }

  private func hide(line: Int) {
    guard let column = SecretMask.column(ofLine: line, in: report.sources[source]) else { return }
    report.sources[source].mask(line: line, from: column)
  }

  private func add(_ error: any Error, in chunk: Chunk) {
    let problem = YAMLProblem(error, text: chunk.text, lineOffset: chunk.offset)
    let line = min(problem.line + chunk.offset, max(report.sources[source].lines.count, 1))
    let column = min(problem.column, report.sources[source].scalars(ofLine: line).count + 1)
    hide(line: line)
    report.error(
      problem.id, problem.message, at: Place(source: source, line: line, column: column, length: 1), suggestion: problem.suggestion)
  }
}
