import Foundation
import Glibc
import SluiceEngine
import SluiceRollout

/// A test aid, not for people: ends this process as `kill -9` does, at one attempt's boundary.
///
/// `SLUICE_TEST_KILL_AT` says which attempt of this process (1 is the first) and on which side of it: `N` after the commit that
/// decided it and before anything is sent, `N:sent` 20 ms after it was sent, `N:done` when its outcome has come and nothing knows of it yet.
final class TestKill: @unchecked Sendable {
  private enum Side: String { case before, sent, done }

  private let number: Int
  private let side: Side
  private let lock = NSLock()
  private var seen = 0
  private var target: Int?

  /// nil when the variable is not set.
  init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
    guard let text = environment["SLUICE_TEST_KILL_AT"] else { return nil }
    let parts = text.split(separator: ":")
    guard let first = parts.first, let number = Int(first), let side = Side(rawValue: parts.count > 1 ? String(parts[1]) : "before") else {
      return nil
    }
    self.number = number
    self.side = side
  }

  func see(_ news: FleetRunner.News) {
    lock.lock()
    defer { lock.unlock() }
    switch news {
    case .attempt(_, let attempt):
      seen += 1
      guard seen == number else { return }
      target = attempt.id
      switch side {
      case .before: kill(getpid(), SIGKILL)
      case .sent: DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(20)) { kill(getpid(), SIGKILL) }
      case .done: return
      }
    case .outcome(_, let attempt, _):
      if side == .done, attempt.id == target { kill(getpid(), SIGKILL) }
    case .claiming, .passedOver, .left, .committed: return
    }
  }
}
