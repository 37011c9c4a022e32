import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Where a run is, once a second.
package struct LoadProgress: Sendable {
  package var seconds: Int
  package var requests: Int
  package var lost: Int
  package var inFlight: Int
  package var answeredByRelease: [String: Int]
}

/// One run of a plan: starts its clients, ends them, adds up.
package final class LoadRun: Sendable {
  /// What the loops share.
  struct Shared: Sendable {
    var plan: LoadPlan
    var addresses: [SocketAddress]
    var control: Control
    var begin: NIODeadline
    var epoch: Int64
    var recorder: Recorder?
  }

  private let plan: LoadPlan
  private let control: Control

  /// Throws where the plan has no meaning.
  package init(_ plan: LoadPlan) throws(LoadPlan.Invalid) {
    try plan.validate()
    self.plan = plan
    control = Control(budget: plan.requests ?? .max)
  }

  /// Starts no more requests; `run` returns once those on the way have their fates.
  package func stop() { control.isStopping.store(true, ordering: .relaxed) }

  /// Runs the plan to its end. Bounded by the plan's duration and the limits of its requests.
  /// Throws when a target's name is not known, or when the record cannot be written.
  package func run(progress: (@Sendable (LoadProgress) -> Void)? = nil) async throws -> Summary {
    let addresses = try plan.targets.map { try SocketAddress.makeAddressResolvingHost($0.host, port: $0.port) }
    let recorder = try plan.record.map { try Recorder(path: $0) }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.loops)
    let shared = Shared(plan: plan, addresses: addresses, control: control, begin: .now(), epoch: Self.wallClock(), recorder: recorder)
    let workers = try await start(shared, group)
    let lastStart = try await watch(workers, begin: shared.begin, progress)
    for worker in workers { try await worker.finished.get() }
    let elapsed = (NIODeadline.now() - shared.begin).nanoseconds
    var tally = Tally(targets: plan.targets.map(\.authority), epoch: shared.epoch)
    for worker in workers { tally.merge(try await worker.loop.submit { worker.bound.value.tally }.get()) }
    try await group.shutdownGracefully()
    try await recorder?.close()
    let gap = max(control.longestGap.load(ordering: .relaxed), lastStart - control.lastAnswer.load(ordering: .relaxed))
    return tally.summary(elapsed: elapsed, gap: gap)
  }

  /// A worker as seen from other threads.
  private struct Handle: Sendable {
    var loop: any EventLoop
    var bound: NIOLoopBound<Worker>
    var finished: EventLoopFuture<Void>
  }

  private func start(_ shared: Shared, _ group: MultiThreadedEventLoopGroup) async throws -> [Handle] {
    var workers: [Handle] = []
    for (number, loop) in group.makeIterator().enumerated() {
      let step = plan.loops
      workers.append(
        try await loop.submit {
          let worker = Worker(shared, loop: loop)
          worker.start(stride(from: number, to: shared.plan.clients, by: step))
          return Handle(loop: loop, bound: NIOLoopBound(worker, eventLoop: loop), finished: worker.finished)
        }.get())
    }
    return workers
  }

  /// Waits for one of the plan's ends; returns when it came, in nanoseconds since the start.
  private func watch(_ workers: [Handle], begin: NIODeadline, _ progress: (@Sendable (LoadProgress) -> Void)?) async throws -> Int64 {
    let end = begin + plan.duration
    var told = 0
    var stopped: Int64?
    // Goes on telling while the last requests end.
    while true {
      let elapsed = (NIODeadline.now() - begin).nanoseconds
      if stopped == nil {
        if NIODeadline.now() >= end || plan.untilFile.map({ access($0, F_OK) == 0 }) == true { stop() }
        if control.isStopping.load(ordering: .relaxed) { stopped = elapsed }
      }
      if let progress, Int(elapsed / 1_000_000_000) > told {
        told = Int(elapsed / 1_000_000_000)
        progress(try await Self.progress(workers, seconds: told))
      }
      if let stopped, progress == nil { return stopped }
      if let stopped, try await Self.inFlight(workers) == 0 { return stopped }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  private static func inFlight(_ workers: [Handle]) async throws -> Int {
    var count = 0
    for worker in workers { count += try await worker.loop.submit { worker.bound.value.inFlight }.get() }
    return count
  }

  private static func progress(_ workers: [Handle], seconds: Int) async throws -> LoadProgress {
    var progress = LoadProgress(seconds: seconds, requests: 0, lost: 0, inFlight: 0, answeredByRelease: [:])
    for worker in workers {
      let (tally, inFlight) = try await worker.loop.submit { (worker.bound.value.tally, worker.bound.value.inFlight) }.get()
      progress.requests += tally.requests
      progress.lost += tally.lost
      progress.inFlight += inFlight
      progress.answeredByRelease.merge(tally.answeredByRelease, uniquingKeysWith: +)
    }
    return progress
  }

  /// Milliseconds since 1970.
  private static func wallClock() -> Int64 {
    var now = timeval()
    gettimeofday(&now, nil)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_usec) / 1000
  }
}
