import SluiceModel

extension Form where Output == Int {
  /// A whole number within a range.
  static func number(_ range: ClosedRange<Int>) -> Form {
    scalar("a whole number from \(range.lowerBound) to \(range.upperBound)") { (text) throws(Mistake) in
      guard let number = Digits.number(text) else {
        throw Mistake(
          id: .invalidValue, problem: "is not a whole number", suggestion: "write a number from \(range.lowerBound) to \(range.upperBound)")
      }
      guard range.contains(number) else {
        throw Mistake(id: .outOfRange, problem: "is out of range", suggestion: "it can be from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
  }

  /// A TCP port.
  static var port: Form { number(1...65535) }

  /// A share of one CPU in basis points, more than 100 % allowed.
  static var cpu: Form {
    scalar("a share of one CPU such as `50%` or `200%`") { (text) throws(Mistake) in
      if let points = Digits.basisPoints(text) {
        guard (1...10_000_000).contains(points) else {
          throw Mistake(id: .outOfRange, problem: "is out of range", suggestion: "write `50%`")
        }
        return points
      }
      var suggestion = "write `50%` for half a CPU, `200%` for two"
      if text.hasSuffix("m"), let milli = Digits.number(text.dropLast()) {
        suggestion = "write `\(Double(milli) / 10)%`".replacing(".0%", with: "%")
      }
      if let hundredths = Digits.hundredths(text), hundredths > 0 {
        // A small number without a unit means CPUs, as elsewhere; a large one can only mean per cent.
        suggestion = "write `\(hundredths <= 1600 ? "\(hundredths)" : text)%`"
      }
      throw Mistake(problem: "is not a share of a CPU", suggestion: suggestion)
    }
  }
}

extension Form where Output == BasisPoints {
  /// `10%`: up to all.
  static var share: Form {
    scalar("a share such as `10%`") { (text) throws(Mistake) in
      guard let points = Digits.basisPoints(text) else {
        let parts = Digits.hundredths(text)
        throw Mistake(
          problem: "is not a share", suggestion: parts.map { $0 <= 10_000 ? "write `\(text)%`" : "write `10%`" } ?? "write `10%`")
      }
      guard points <= 10_000 else { throw Mistake(id: .outOfRange, problem: "is more than all", suggestion: "it can be up to `100%`") }
      return BasisPoints(points)
    }
  }
}

extension Form where Output == Double {
  /// A plain number with up to two decimals.
  static func ratio(_ range: ClosedRange<Int>) -> Form {
    scalar("a number such as `1.5`") { (text) throws(Mistake) in
      guard let hundredths = Digits.hundredths(text) else { throw Mistake(problem: "is not a number", suggestion: "write `1.5`") }
      guard (range.lowerBound * 100...range.upperBound * 100).contains(hundredths) else {
        throw Mistake(
          id: .outOfRange, problem: "is out of range", suggestion: "it can be from \(range.lowerBound) to \(range.upperBound)")
      }
      return Double(hundredths) / 100
    }
  }
}

extension Form where Output == Bool {
  /// `true` or `false`.
  static var flag: Form { choice([("true", true), ("false", false)]) }
}

extension Form where Output == Milliseconds {
  /// `500ms`, `10s`, `5m`, `1h`.
  static func duration(_ range: ClosedRange<Milliseconds> = .zero ... .longest) -> Form {
    scalar("a duration such as `10s`") { (text) throws(Mistake) in
      let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
      for (unit, factor) in units where text.hasSuffix(unit) {
        guard let count = Digits.number(text.dropLast(unit.count)) else { continue }
        let span = Milliseconds(Int64(count) * factor)
        guard range.contains(span) else {
          let bounds =
            range.lowerBound > .zero && span < range.lowerBound ? "at least `\(range.lowerBound)`" : "at most `\(range.upperBound)`"
          throw Mistake(id: .outOfRange, problem: "is out of range", suggestion: "it can be \(bounds)")
        }
        return span
      }
      throw Mistake(problem: "is not a duration", suggestion: LooseDuration.suggestion(text))
    }
  }

  /// A duration that must not be zero.
  static var positiveDuration: Form { duration(Milliseconds(1) ... .longest) }
}

extension Form where Output == Amount {
  /// A number of instances or a share of them.
  static var amount: Form {
    scalar("a number or a share such as `25%`") { (text) throws(Mistake) in
      if let number = Digits.number(text), number <= 1_000_000 { return .count(number) }
      if let points = Digits.basisPoints(text) {
        guard points <= 10_000 else {
          throw Mistake(id: .outOfRange, problem: "is more than all of them", suggestion: "it can be up to `100%`")
        }
        return .share(BasisPoints(points))
      }
      var suggestion = "write a number such as `1`, or a share such as `25%`"
      if let parts = Digits.hundredths(text), (1...100).contains(parts) { suggestion = "write `\(parts)%`" }
      if text.hasSuffix("%"), Digits.basisPoints(text.replacing(" ", with: "")) != nil {
        suggestion = "write `\(text.replacing(" ", with: ""))`"
      }
      throw Mistake(problem: "is neither a number nor a share", suggestion: suggestion)
    }
  }
}

extension Form where Output == Int64 {
  /// `64MiB`, in bytes.
  static var size: Form {
    scalar("a size such as `64MiB`") { (text) throws(Mistake) in
      let units: [(String, Int64)] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
      for (unit, factor) in units where text.hasSuffix(unit) {
        guard let count = Digits.number(text.dropLast(3)) else { continue }
        guard (1...1_048_576).contains(count) else {
          throw Mistake(id: .outOfRange, problem: "is out of range", suggestion: "write `64MiB`")
        }
        return Int64(count) * factor
      }
      let letters = text.lowercased().filter(\.isLetter)
      let digits = text.prefix { ("0"..."9").contains($0) }
      let meant = ["k": "KiB", "m": "MiB", "g": "GiB"][letters.prefix(1)]
      let suggestion = digits.isEmpty ? "write `64MiB`" : "write `\(digits)\(meant ?? "MiB")`"
      throw Mistake(problem: "is not a size", suggestion: suggestion + "; units are KiB, MiB and GiB")
    }
  }
}

/// Numbers as manifests write them: decimal digits, without signs or separators.
enum Digits {
  /// Nil unless there are one to nine digits and nothing else.
  static func number(_ text: some StringProtocol) -> Int? {
    guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(text)
  }

  /// `25%` and `12.5%` in hundredths of a per cent.
  static func basisPoints(_ text: some StringProtocol) -> Int? {
    guard text.hasSuffix("%") else { return nil }
    return hundredths(text.dropLast())
  }

  /// A number with up to two decimals, times 100.
  static func hundredths(_ text: some StringProtocol) -> Int? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let whole = number(first), whole < 1_000_000 else { return nil }
    guard parts.count == 2 else { return whole * 100 }
    guard parts[1].utf8.count <= 2, let decimals = number(parts[1]) else { return nil }
    return whole * 100 + (parts[1].utf8.count == 1 ? decimals * 10 : decimals)
  }
}

/// Guesses the duration that someone meant.
private enum LooseDuration {
  private static let units: [(words: [String], factor: Double)] = [
    (["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"], 1), (["s", "sec", "secs", "second", "seconds"], 1000),
    (["m", "min", "mins", "minute", "minutes"], 60_000), (["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (["d", "day", "days"], 86_400_000),
  ]

  static func suggestion(_ text: String) -> String {
    if Digits.number(text) != nil { return "give it a unit: `\(text)s`" }
    if let span = parse(text.lowercased()) { return "write `\(span)`" }
    return "write it as `500ms`, `10s`, `5m` or `1h`"
  }

  /// The sum of all number and unit pairs.
  private static func parse(_ text: String) -> Milliseconds? {
    var rest = text.filter { $0 != " " }[...]
    var total = 0.0
    guard !rest.isEmpty, rest.count <= 40 else { return nil }
    while !rest.isEmpty {
      let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
      rest = rest.dropFirst(digits.count)
      let word = rest.prefix { ("a"..."z").contains($0) }
      rest = rest.dropFirst(word.count)
      guard let number = Double(digits), let unit = units.first(where: { $0.words.contains(String(word)) }) else { return nil }
      total += number * unit.factor
    }
    guard total.isFinite, total < 31_622_400_000 else { return nil }
    return Milliseconds(Int64(total))
  }
}
