package import SluiceModel

/// Why the gateway answered in a service's place (502, 503, 504), or broke an answer off.
package enum FaultKind: String, CaseIterable, Hashable, Sendable {
  // What a target did.
  case badAnswer = "bad_answer"
  case unreachable
  case connectTimeout = "connect_timeout"
  case brokeOff = "broke_off"
  case noAnswer = "no_answer"
  case answerCut = "answer_cut"
  // What has no target.
  case noTarget = "no_target"
  case closed
  case queueFull = "queue_full"
  case heldTooLong = "held_too_long"

  /// In words, as the rest of a sentence about a target or a service.
  var words: String {
    switch self {
    case .badAnswer: "its answer cannot be understood"
    case .unreachable: "it cannot be connected to"
    case .connectTimeout: "no connection to it within the connect timeout"
    case .brokeOff: "it closed the connection without an answer"
    case .noAnswer: "it did not answer within the response timeout"
    case .answerCut: "its answer broke off"
    case .noTarget: "no target can take a request"
    case .closed: "the switch is closed"
    case .queueFull: "too many requests are held"
    case .heldTooLong: "requests were held for too long"
    }
  }

  /// What the client got.
  var outcome: String {
    switch self {
    case .badAnswer, .unreachable, .brokeOff: "502"
    case .connectTimeout, .noAnswer: "504"
    case .answerCut: "cut off"
    case .noTarget, .closed, .queueFull, .heldTooLong: "503"
    }
  }
}

/// How often each kind has happened. Takes no space before the first.
struct FaultCounts: Sendable {
  private var counts: [Int] = []

  subscript(kind: FaultKind) -> Int { counts.isEmpty ? 0 : counts[Self.place(kind)] }

  mutating func count(_ kind: FaultKind) {
    if counts.isEmpty { counts = Array(repeating: 0, count: FaultKind.allCases.count) }
    counts[Self.place(kind)] += 1
  }

  /// Those that have happened, in the order of the kinds.
  var all: [(kind: FaultKind, count: Int)] { FaultKind.allCases.map { ($0, self[$0]) }.filter { $0.1 > 0 } }

  static func += (left: inout Self, right: Self) {
    if left.counts.isEmpty { return left = right }
    for (index, count) in right.counts.enumerated() { left.counts[index] += count }
  }

  private static func place(_ kind: FaultKind) -> Int {
    switch kind {
    case .badAnswer: 0
    case .unreachable: 1
    case .connectTimeout: 2
    case .brokeOff: 3
    case .noAnswer: 4
    case .answerCut: 5
    case .noTarget: 6
    case .closed: 7
    case .queueFull: 8
    case .heldTooLong: 9
    }
  }
}

/// Faults of one kind and cause, met since they were last told.
package struct FaultReport: Sendable {
  /// The target as people know it.
  package struct Place: Hashable, Sendable {
    package var instance: InstanceID
    package var release: ReleaseNumber
    package var authority: String

    package init(instance: InstanceID, release: ReleaseNumber, authority: String) {
      self.instance = instance
      self.release = release
      self.authority = authority
    }
  }

  package var service: ServiceName
  package var kind: FaultKind
  /// Nil: no target had it.
  package var target: Place?
  /// What in it, one of few texts.
  package var cause: String
  /// Of the last one, cleaned of what a terminal would obey.
  package var example: String
  package var count: Int

  package init(service: ServiceName, kind: FaultKind, target: Place? = nil, cause: String = "", example: String = "", count: Int = 1) {
    self.service = service
    self.kind = kind
    self.target = target
    self.cause = cause
    self.example = example
    self.count = count
  }

  func isLike(_ other: FaultReport) -> Bool {
    kind == other.kind && cause == other.cause && target == other.target && service == other.service
  }

  /// `its answer cannot be understood: bad field name, in "X Powered By"`
  package var text: String {
    kind.words + (cause.isEmpty ? "" : ": \(cause)") + (example.isEmpty ? "" : ", in \"\(example)\"")
  }
}

/// What one event loop has met since the control side was told: bounded, so that a flood of faults costs a counter each.
struct FaultTally {
  static let limit = 64
  private var reports: [FaultReport] = []
  /// Faults that found no place any more.
  private(set) var others = 0

  var isEmpty: Bool { reports.isEmpty && others == 0 }

  mutating func add(_ report: FaultReport) {
    if let index = reports.firstIndex(where: { $0.isLike(report) }) {
      reports[index].count += report.count
      if !report.example.isEmpty { reports[index].example = report.example }
    } else if reports.count < Self.limit {
      reports.append(report)
    } else {
      others += report.count
    }
  }

  mutating func take() -> [FaultReport] {
    defer { self = FaultTally() }
    return reports
  }
}

/// Which faults are told in the log, and when: each at once when it is new, and then with its count at most every `pause`, however many there are.
package struct FaultBook: Sendable {
  package static let pause = Milliseconds.seconds(10)
  /// Different faults that are told apart; more are summed up in one line.
  package static let limit = 128

  private struct Known: Sendable {
    var report: FaultReport
    /// Since the last line.
    var untold = 0
    var told: Milliseconds
  }

  private var known: [Known] = []
  private var others = 0
  private var othersTold: Milliseconds?

  package init() {}

  /// Takes what was met.
  package mutating func take(_ reports: [FaultReport], others more: Int = 0) {
    others += more
    for report in reports {
      if let index = known.firstIndex(where: { $0.report.isLike(report) }) {
        known[index].untold += report.count
        if !report.example.isEmpty { known[index].report.example = report.example }
      } else if known.count < Self.limit {
        known.append(Known(report: report, untold: report.count, told: Milliseconds(.min / 2)))
      } else {
        others += report.count
      }
    }
  }

  /// The lines that are due now (by a clock that only goes forward); what has not happened again for a while is forgotten.
  package mutating func due(now: Milliseconds) -> [String] {
    var lines: [String] = []
    for index in known.indices where known[index].untold > 0 && now.value - known[index].told.value >= Self.pause.value {
      let one = known[index]
      lines.append(Self.line(one.report, one.untold))
      known[index].untold = 0
      known[index].told = now
    }
    known.removeAll { $0.untold == 0 && now.value - $0.told.value > 6 * Self.pause.value }
    if others > 0, othersTold.map({ now.value - $0.value >= Self.pause.value }) ?? true {
      lines.append("\(others) more requests got 502, 503 or 504 for other reasons: /metrics counts them by target and kind")
      others = 0
      othersTold = now
    }
    return lines
  }

  private static func line(_ report: FaultReport, _ count: Int) -> String {
    let times = count == 1 ? "" : ", \(count) times"
    guard let target = report.target else { return "\(report.service): \(report.kind.outcome)\(times): \(report.text)" }
    return "\(report.service): \(report.kind.outcome)\(times): instance \(target.instance.number) of release \(target.release.number) "
      + "at \(target.authority): \(report.text)"
  }
}

/// Text from outside without what a terminal or a reader of logs would obey, cut to a length.
func plainText(_ octets: some Sequence<UInt8>, limit: Int = 60) -> String {
  let text = String(decoding: Array(octets.prefix(limit)), as: UTF8.self)
  return String(
    String.UnicodeScalarView(
      text.unicodeScalars.map { scalar in
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .lineSeparator, .paragraphSeparator: "?"
        default: scalar == "\"" ? "'" : scalar
        }
      }))
}
