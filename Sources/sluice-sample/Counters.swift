import Synchronization

/// What the sample did, for its last words: tests compare these with the load generator's.
final class Counters: Sendable {
  /// Request heads read.
  let accepted = Atomic<Int>(0)
  /// Whole answers handed to the kernel.
  let answered = Atomic<Int>(0)
  /// WebSocket connections opened; each is in both of the others too, answered by its 101.
  let webSockets = Atomic<Int>(0)

  /// `accepted=… answered=… unanswered=… websockets=…`.
  var line: String {
    let accepted = accepted.load(ordering: .relaxed)
    let answered = answered.load(ordering: .relaxed)
    return "accepted=\(accepted) answered=\(answered) unanswered=\(accepted - answered) websockets=\(webSockets.load(ordering: .relaxed))"
  }
}

/// Whether `/healthz` says 200.
final class Health: Sendable {
  let good: Atomic<Bool>
  init(good: Bool) { self.good = Atomic(good) }
}
