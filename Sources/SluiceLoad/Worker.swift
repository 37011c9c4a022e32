import NIOCore
import NIOPosix
import Synchronization

/// What all loops share.
final class Control: Sendable {
  /// Set once: no new request starts.
  let isStopping = Atomic<Bool>(false)
  /// Requests that may still start.
  let budget: Atomic<Int>
  /// When the last answer came, and the longest time between two, in nanoseconds since the start.
  let lastAnswer = Atomic<Int64>(0)
  let longestGap = Atomic<Int64>(0)

  init(budget: Int) { self.budget = Atomic(budget) }

  /// Loops may tell a few microseconds out of order; then the gap is theirs too.
  func answered(at time: Int64) {
    let previous = lastAnswer.exchange(time, ordering: .relaxed)
    if time - previous > longestGap.load(ordering: .relaxed) { longestGap.max(time - previous, ordering: .relaxed) }
  }
}

/// The clients of one loop, with its sums and its part of the record. Lives on that loop.
final class Worker {
  let plan: LoadPlan
  let loop: any EventLoop
  let factory: RequestFactory
  /// Nanoseconds between two requests of a client; 0: none.
  let interval: Int64
  var tally: Tally
  var inFlight = 0
  private let control: Control
  private let addresses: [SocketAddress]
  private let begin: NIODeadline
  private let recorder: Recorder?
  private var lines: RecordLines
  private var clients: [LoadClient] = []
  private var remaining = 0
  private let done: EventLoopPromise<Void>

  init(_ shared: LoadRun.Shared, loop: any EventLoop) {
    plan = shared.plan
    self.loop = loop
    factory = RequestFactory(plan)
    interval = plan.rate == 0 ? 0 : Int64(plan.clients) * 1_000_000_000 / Int64(plan.rate)
    tally = Tally(targets: plan.targets.map(\.authority), epoch: shared.epoch)
    control = shared.control
    addresses = shared.addresses
    begin = shared.begin
    recorder = shared.recorder
    lines = RecordLines(epoch: shared.epoch, monotonicStart: Int64(shared.begin.uptimeNanoseconds))
    done = loop.makePromise(of: Void.self)
  }

  /// Done when each client's last request has its fate.
  var finished: EventLoopFuture<Void> { done.futureResult }

  func start(_ indices: some Sequence<Int>) {
    clients = indices.map { LoadClient(self, index: $0) }
    remaining = clients.count
    tickSoon()
    if clients.isEmpty { end() }
    for client in clients { client.next() }
  }

  private func tickSoon() {
    loop.assumeIsolated().scheduleTask(in: .milliseconds(50)) {
      guard self.remaining > 0 else { return }
      let now = NIODeadline.now()
      for client in self.clients { client.tick(now) }
      self.tickSoon()
    }
  }

  /// Whether a request may start at all now.
  var mayStart: Bool { !control.isStopping.load(ordering: .relaxed) }

  /// Takes one request from what may still start.
  func claim() -> Bool {
    if control.budget.subtract(1, ordering: .relaxed).oldValue > 0 { return true }
    control.isStopping.store(true, ordering: .relaxed)
    return false
  }

  /// Nanoseconds since the start.
  func now() -> Int64 { (NIODeadline.now() - begin).nanoseconds }

  func connect(to target: Int) -> EventLoopFuture<any Channel> {
    ClientBootstrap(group: loop)
      .connectTimeout(plan.connectTimeout)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Connection()) }
      }
      .connect(to: addresses[target])
  }

  func add(_ request: Finished) {
    tally.add(request)
    if request.outcome.fate == .answered { control.answered(at: request.end) }
    guard let recorder else { return }
    lines.add(request)
    if lines.readableBytes > 65_536 { recorder.write(lines.take()) }
  }

  func clientDone() {
    remaining -= 1
    if remaining == 0 { end() }
  }

  private func end() {
    // Clients and worker hold each other; the run is over.
    clients = []
    recorder?.write(lines.take())
    done.succeed()
  }
}
