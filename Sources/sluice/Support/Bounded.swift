/// Waits no longer than it is told to, whatever hangs.
enum Bounded {
  /// What the work gives, or nil when the time is over: the work goes on unheard then, since much of what waits for a network cannot be cancelled.
  static func run<Value: Sendable>(_ limit: Duration, _ work: @escaping @Sendable () async -> Value) async -> Value? {
    let (stream, continuation) = AsyncStream.makeStream(of: Value?.self, bufferingPolicy: .bufferingOldest(1))
    Task { continuation.yield(await work()) }
    let timer = Task {
      try? await Task.sleep(for: limit)
      continuation.yield(nil)
    }
    defer { timer.cancel() }
    for await value in stream { return value }
    return nil
  }
}
