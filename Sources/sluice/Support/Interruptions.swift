import ArgumentParser
import Dispatch
import Glibc
import Synchronization

/// Ctrl-C, and what a service manager or a closing terminal sends instead.
///
/// Before `stopSafely` nothing is under way that a rollout would have to know of, and the first one ends the process. From then on each
/// yields once, and the process lives on to stop at a safe point; after the second one it is given a second, whatever hangs.
final class Interruptions: Sendable {
  private struct State {
    var stopsSafely = false
    var count = 0
  }

  let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let state = Mutex(State())

  init() {
    (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The sources live as long as the process: they hold themselves by their handlers.
      source.setEventHandler { withExtendedLifetime(source) { self.take() } }
      source.activate()
    }
    signal(SIGPIPE, SIG_IGN)
  }

  /// A run begins: from now on the first interruption is heard by whoever reads `stream`.
  func stopSafely() { state.withLock { $0.stopsSafely = true } }

  private func take() {
    let (safely, count) = state.withLock { state in
      state.count += 1
      return (state.stopsSafely, state.count)
    }
    guard safely else { return leave("interrupted before any service was touched") }
    continuation.yield()
    if count == 2 {
      DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(1)) {
        self.leave("interrupted at once: what was under way is in doubt, and is looked at first by sluice rollout resume SERVICE")
      }
    }
    if count > 2 { leave("") }
  }

  /// Ends the process here and now. Everything durable is: the store commits before it acts.
  private func leave(_ words: String) {
    if !words.isEmpty { Console().say(words) }
    _exit(ExitStatus.interrupted.rawValue)
  }
}
