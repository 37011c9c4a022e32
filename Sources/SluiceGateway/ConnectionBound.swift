import SluiceGatewayAPI
import Synchronization

/// The bound of client connections at a time, shared by all event loops: one atomic step when one opens, one when it closes.
final class ConnectionBound: Sendable {
  enum Verdict {
    case taken
    /// Told so, then closed.
    case refused
    /// So many are being told that this one is only closed.
    case dropped
  }

  let limit: Int
  private let open = Atomic<Int>(0)
  private let turnedAway = Atomic<Int>(0)

  /// `descriptors`: how many the process may have; nil: as many as it likes.
  init(_ limit: Int, descriptors: Int? = nil) {
    self.limit = min(limit, max(16, ((descriptors ?? .max) - 64) / 2))
  }

  /// Counts one that opened, whatever becomes of it.
  func opened() -> Verdict {
    let count = open.add(1, ordering: .relaxed).newValue
    if count <= limit { return .taken }
    turnedAway.add(1, ordering: .relaxed)
    return count <= limit + max(8, limit / 16) ? .refused : .dropped
  }

  func closed() { open.subtract(1, ordering: .relaxed) }

  /// How many were turned away since the process began.
  var refused: Int { turnedAway.load(ordering: .relaxed) }
}
