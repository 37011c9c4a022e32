/// What a sample can be told to do wrong, so that a release can be bad in a known way.
///
/// Written as a list: `start-delay=5s,fail-health,crash-after=3s`. Several lists add up; of two that name the same fault the later wins.
struct Faults {
  /// Waits so long before it listens.
  var startDelay: Duration = .zero
  /// Answers `/healthz` with 503 from the beginning.
  var failHealth = false
  /// Answers `/healthz` with 503 from so long after it began to listen.
  var failHealthAfter: Duration?
  /// Aborts so long after it began to listen.
  var crashAfter: Duration?
  /// Goes on as if nothing had happened when it is told to stop.
  var ignoreTerm = false
  /// Ends with this status before it listens, with a message on stderr.
  var exit: Int32?
  /// Answers this share of requests, in hundredths of a per cent, with 500 (never `/healthz`).
  var errorShare = 0
  /// Answers every request but `/healthz` so much later.
  var delay: Duration = .zero

  /// Adds what `list` says. Items are separated by commas or white space; a line that begins with `#` is a comment.
  mutating func add(_ list: String) throws(UsageError) {
    for line in list.split(whereSeparator: \.isNewline) where line.first(where: { $0 != " " }) != "#" {
      for item in line.split(whereSeparator: { $0 == "," || $0.isWhitespace }) { try add(item: item) }
    }
  }

  private mutating func add(item: Substring) throws(UsageError) {
    let parts = item.split(separator: "=", maxSplits: 1)
    let value = parts.count == 2 ? parts[1] : ""
    switch parts.first {
    case "fail-health" where parts.count == 1: failHealth = true
    case "ignore-term" where parts.count == 1: ignoreTerm = true
    case "start-delay": startDelay = try duration(value, of: item)
    case "fail-health-after": failHealthAfter = try duration(value, of: item)
    case "crash-after": crashAfter = try duration(value, of: item)
    case "delay": delay = try duration(value, of: item)
    case "exit":
      guard let status = Int32(value), (0...255).contains(status) else {
        throw UsageError("fault '\(item)': the exit status must be 0 to 255, as in exit=3")
      }
      exit = status
    case "error-share":
      guard value.last == "%", let share = Double(value.dropLast()), (0...100).contains(share) else {
        throw UsageError("fault '\(item)': the share must be 0% to 100%, as in error-share=5%")
      }
      errorShare = Int((share * 100).rounded())
    default:
      throw UsageError(
        "unknown fault '\(item)'; known: start-delay=5s, fail-health, fail-health-after=10s, crash-after=3s, ignore-term, exit=3, "
          + "error-share=5%, delay=50ms")
    }
  }

  private func duration(_ text: Substring, of item: Substring) throws(UsageError) -> Duration {
    guard let value = Duration(written: text) else { throw UsageError("fault '\(item)': expected a duration such as 500ms, 5s or 2m") }
    return value
  }
}

extension Duration {
  /// Reads `500ms`, `10s`, `5m` or `1h`; nil when it is none of these, or longer than a year.
  init?(written text: some StringProtocol) {
    let digits = text.prefix(while: \.isNumber)
    let scale: Int64? =
      switch text.dropFirst(digits.count) {
      case "ms": 1
      case "s": 1000
      case "m": 60_000
      case "h": 3_600_000
      default: nil
      }
    guard let scale, let count = Int64(digits), count <= 31_536_000_000 / scale else { return nil }
    self = .milliseconds(count * scale)
  }
}
