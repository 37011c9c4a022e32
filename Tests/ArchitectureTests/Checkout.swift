import Foundation

/// The files that the tests of this target look at.
enum Checkout {
  /// The folder that holds `Sources` and `Tests`.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct File {
    /// Below `root`.
    let path: String
    let text: String

    /// The lines without comments and without what strings hold, so that words in prose are no code. Lines keep their numbers.
    var code: [String] { CodeText.strip(text) }
  }

  /// Every Swift file below a folder, sorted by path.
  static func swiftFiles(_ folder: String) throws -> [File] {
    let top = root.appending(path: folder)
    guard let walk = FileManager.default.enumerator(at: top, includingPropertiesForKeys: nil) else {
      throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: top.path])
    }
    var files: [File] = []
    for case let url as URL in walk where url.pathExtension == "swift" {
      let path = String(url.standardizedFileURL.path.dropFirst(root.standardizedFileURL.path.count + 1))
      files.append(File(path: path, text: try String(contentsOf: url, encoding: .utf8)))
    }
    return files.sorted { $0.path < $1.path }
  }

  static func entries(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path).sorted()
  }
}

/// Takes comments and the text of string literals out of Swift source. Interpolations go with their string.
enum CodeText {
  static func strip(_ source: String) -> [String] {
    var lines: [String] = []
    var inBlockString: String?
    var inComment = false
    for line in source.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      if let end = inBlockString {
        if line.trimmingCharacters(in: .whitespaces).hasPrefix(end) { inBlockString = nil }
        lines.append("")
        continue
      }
      var kept = ""
      var rest = Substring(line)
      while !rest.isEmpty {
        if inComment {
          guard let end = rest.range(of: "*/") else { break }
          rest = rest[end.upperBound...]
          inComment = false
        } else if rest.hasPrefix("//") {
          break
        } else if rest.hasPrefix("/*") {
          inComment = true
        } else if rest.hasPrefix("#\"\"\"") || rest.hasPrefix("\"\"\"") {
          inBlockString = rest.hasPrefix("#") ? "\"\"\"#" : "\"\"\""
          break
        } else if rest.first == "\"" {
          rest = skipString(rest.dropFirst())
          kept += "\"\""
        } else {
          kept.append(rest.removeFirst())
        }
      }
      lines.append(kept)
    }
    return lines
  }

  /// What follows the string's closing quote.
  private static func skipString(_ text: Substring) -> Substring {
    var rest = text
    var depth = 0
    while let next = rest.popFirst() {
      if next == "\\" {
        if rest.first == "(" { depth += 1 }
        _ = rest.popFirst()
      } else if depth > 0 {
        if next == "(" { depth += 1 }
        if next == ")" { depth -= 1 }
      } else if next == "\"" {
        return rest
      }
    }
    return rest
  }
}
