import NIOHTTP1

/// A request line taken apart: path and query, no decoding beyond what the endpoints need.
struct Target {
  var path: Substring
  private var query: Substring

  init(_ uri: String) {
    let mark = uri.firstIndex(of: "?") ?? uri.endIndex
    path = uri[..<mark]
    query = uri[mark...].dropFirst()
  }

  /// The value of the first `name=` in the query.
  subscript(name: String) -> Substring? {
    for pair in query.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2, parts[0] == name { return parts[1] }
    }
    return nil
  }

  /// A number of the query, within `range`; `standard` when it is absent, nil when it is none or out of range.
  func number(_ name: String, _ range: ClosedRange<Int>, standard: Int) -> Int? {
    guard let text = self[name] else { return standard }
    guard let value = Int(text), range.contains(value) else { return nil }
    return value
  }
}
