/// Finds what someone meant by a name that does not exist.
package enum NearestName {
  /// The candidate with the fewest edits, if they are few enough for the length; the first of equals.
  package static func of(_ text: String, in candidates: [String]) -> String? {
    let wanted = Array(text.lowercased().unicodeScalars.prefix(64))
    var best: (distance: Int, name: String)?
    for name in candidates {
      let letters = Array(name.lowercased().unicodeScalars)
      let limit = min(max(max(wanted.count, letters.count) / 3, 1), 3)
      let distance = edits(wanted, letters)
      if distance <= limit, distance < max(letters.count, 1), distance < best?.distance ?? .max { best = (distance, name) }
    }
    if let best { return best.name }
    guard wanted.count >= 3 else { return nil }
    return candidates.first { name in
      let letters = Array(name.lowercased().unicodeScalars)
      return letters.count >= 3 && (letters.starts(with: wanted) || wanted.starts(with: letters))
    }
  }

  /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
  static func edits(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
    var before: [Int] = []
    var row = Array(0...right.count)
    for i in left.indices {
      var next = [i + 1] + Array(repeating: 0, count: right.count)
      for j in right.indices {
        let same = left[i] == right[j]
        next[j + 1] = min(row[j] + (same ? 0 : 1), row[j + 1] + 1, next[j] + 1)
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] { next[j + 1] = min(next[j + 1], before[j - 1] + 1) }
      }
      (before, row) = (row, next)
    }
    return row[right.count]
  }

  /// ``did you mean `x`?``, or the list of what there is.
  package static func hint(_ text: String, in candidates: [String], what: String) -> String {
    if let name = of(text, in: candidates) { return "did you mean `\(name)`?" }
    if candidates.isEmpty { return "\(what): none" }
    let shown = candidates.prefix(12).map { "`\($0)`" }.joined(separator: ", ")
    return "\(what): \(shown)\(candidates.count > 12 ? " …" : "")"
  }
}
