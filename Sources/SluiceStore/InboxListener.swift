internal import Dispatch
internal import Glibc

/// Hears that a command was left in the inbox: the running command holds one, and asks `takeCommands` whenever `wakes` yields.
///
/// Every process that changes the fleet has a socket of its own. Several pokes in a row may come as one.
///
/// `@unchecked Sendable`: every property is a constant, and a dispatch source may be used from any thread.
package final class InboxListener: @unchecked Sendable {
  /// One element for every time something may lie in the inbox, the first at once. For one reader.
  package let wakes: AsyncStream<Void>
  private let source: any DispatchSourceRead
  private let continuation: AsyncStream<Void>.Continuation
  private let path: String
  /// Kept as long as it listens.
  private let lock: MachineLock

  /// Throws `StoreError` with `.unusable`.
  package init(lock: MachineLock) throws {
    self.lock = lock
    let path = "\(lock.directory.path)/\(lock.holder.wake ?? "\(lock.fleet).wake")"
    self.path = path
    // What those have left that were killed.
    for left in lock.directory.wakes(of: lock.fleet) where (try? WakeSocket.poke(left)) == false { _ = unlink(left) }
    let descriptor = try WakeSocket.bound(at: path)
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
    source.setEventHandler {
      WakeSocket.drain(descriptor)
      continuation.yield()
    }
    source.setCancelHandler { _ = close(descriptor) }
    wakes = stream
    self.continuation = continuation
    self.source = source
    // What was left before the socket was there wakes nobody.
    continuation.yield()
    source.activate()
  }

  deinit { stop() }

  /// Listens no more; `wakes` ends. Twice is fine.
  package func stop() {
    continuation.finish()
    if !source.isCancelled { _ = unlink(path) }
    source.cancel()
  }
}
