import NIOCore

/// How much waits to be written on one connection: full, and whoever feeds it stops reading. Lives with its connection on one event loop.
///
/// The channel itself bounds octets (64 KiB by default). But a write costs a few hundred octets however little it carries, so their number is
/// bounded too: a peer that sends octet by octet costs no more than any other.
struct OutboundGate {
  /// Writes until somebody looks whether they have left.
  static let writeLimit = 512

  /// The channel says that too many octets wait.
  var isUnwritable = false
  private var isCrowded = false
  private var writes = 0

  var isFull: Bool { isUnwritable || isCrowded }

  @inline(__always)
  mutating func wrote() { writes &+= 1 }

  /// After a flush: whether so many writes may wait that `look` is due.
  var isSuspect: Bool { writes > Self.writeLimit && !isCrowded }

  /// Asks the channel: writes that have left count no more. Says whether the rest has to be waited for, with `passed` told at its end.
  mutating func look(_ channel: any Channel) -> Bool {
    let waiting = try? channel.syncOptions?.getOption(.bufferedWritableBytes)
    writes = 0
    isCrowded = (waiting ?? 0) > 0
    return isCrowded
  }

  /// All that had been written when `look` asked has left.
  mutating func passed() { isCrowded = false }
}
