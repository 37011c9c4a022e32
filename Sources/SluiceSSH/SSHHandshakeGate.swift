internal import NIOCore
internal import Synchronization

/// Lets a bounded number of handshakes work on one event loop at once. Key exchange is milliseconds of arithmetic: with a thousand
/// at once each would take so long that servers give up on all of them.
enum SSHHandshakeGate {
  private struct LoopState {
    var running = 0
    var waiting = CircularBuffer<EventLoopPromise<Void>>()
  }

  /// Holds only loops with a handshake under way.
  private static let loops = Mutex<[ObjectIdentifier: LoopState]>([:])

  /// Waits for a turn on this loop; each turn is given back by `leave`.
  static func enter(_ eventLoop: any EventLoop, limit: Int) async throws {
    let turn = loops.withLock { loops -> EventLoopFuture<Void>? in
      let key = ObjectIdentifier(eventLoop)
      guard loops[key, default: LoopState()].running >= limit else {
        loops[key, default: LoopState()].running += 1
        return nil
      }
      let promise = eventLoop.makePromise(of: Void.self)
      loops[key]?.waiting.append(promise)
      return promise.futureResult
    }
    try await turn?.get()
  }

  static func leave(_ eventLoop: any EventLoop) {
    let next = loops.withLock { loops -> EventLoopPromise<Void>? in
      let key = ObjectIdentifier(eventLoop)
      guard var state = loops[key] else { return nil }
      let next = state.waiting.popFirst()
      if next == nil { state.running -= 1 }
      loops[key] = state.running == 0 ? nil : state
      return next
    }
    next?.succeed()
  }
}
