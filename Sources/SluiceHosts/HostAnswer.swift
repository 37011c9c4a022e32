/// What a host script said: lines `KEY VALUE` between `sluice/1` and `end`, strictly read.
///
/// What comes before the first line is the login's noise and skipped. An answer without its `end` was cut off.
struct HostAnswer: Equatable {
  static let version = "sluice/1"

  struct Line: Equatable {
    var key: String
    var value: String
  }

  enum Problem: Error, Equatable {
    /// No `sluice/1`: the script did not run.
    case missing
    /// No `end`.
    case cut
    /// A line of another form.
    case malformed(String)
  }

  private(set) var lines: [Line] = []
  private(set) var record: [UInt8]?

  init() {}

  init(parsing bytes: [UInt8]) throws(Problem) {
    var rest = bytes[...]
    while true {
      guard let line = Self.line(&rest) else { throw .missing }
      if line.elementsEqual(Self.version.utf8) { break }
    }
    while true {
      guard let bytes = Self.line(&rest) else { throw .cut }
      if bytes.elementsEqual("end".utf8) { return }
      let line = try Self.pair(bytes)
      if line.key == "record" {
        guard let count = Int(line.value), count >= 0, record == nil else { throw .malformed("record \(line.value)") }
        guard count < rest.count else { throw .cut }
        record = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
        guard rest.popFirst() == UInt8(ascii: "\n") else { throw .malformed("the record is longer than it says") }
      } else {
        lines.append(line)
      }
    }
  }

  /// The next line without its end; nil when no whole line is left.
  private static func line(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    defer { rest = rest[(end + 1)...] }
    return rest[..<end]
  }

  private static func pair(_ bytes: ArraySlice<UInt8>) throws(Problem) -> Line {
    let space = bytes.firstIndex(of: UInt8(ascii: " ")) ?? bytes.endIndex
    let key = bytes[..<space]
    guard !key.isEmpty, key.count <= 24, key.allSatisfy({ (97...122).contains($0) }) else {
      throw .malformed(String(decoding: bytes.prefix(80), as: UTF8.self))
    }
    return Line(key: String(decoding: key, as: UTF8.self), value: String(decoding: bytes[space...].dropFirst(), as: UTF8.self))
  }

  /// The value of the first line with that key.
  func value(_ key: String) -> String? { lines.first { $0.key == key }?.value }
  /// The values of all lines with that key, in order.
  func values(_ key: String) -> [String] { lines.filter { $0.key == key }.map(\.value) }
  /// Lines of one text.
  func text(_ key: String) -> String { values(key).joined(separator: "\n") }
  func has(_ key: String) -> Bool { lines.contains { $0.key == key } }
  /// nil also for a number that is beyond `most`: a host may say anything, and what is made of it must not overflow.
  func number<Number: FixedWidthInteger>(_ key: String, as type: Number.Type = Number.self) -> Number? {
    value(key).flatMap { Number($0) }.flatMap { $0.magnitude <= Number.Magnitude(clamping: Self.most) ? $0 : nil }
  }

  /// Counters, bytes and moments that no host reaches.
  static let most: UInt64 = 1 << 47
}
