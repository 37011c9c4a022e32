import NIOCore

/// One client: sends a request, waits for its fate, sends the next. Keeps a connection to each target. Lives on its loop.
final class LoadClient {
  private let worker: Worker
  private let index: Int
  private let mix: Mix
  private var random: Random
  private var connections: [Connection?]
  private var turn: Int
  /// When the next request may start, under a rate.
  private var slot: NIODeadline
  private var count = 0
  private var pause: Scheduled<Void>?
  private(set) var isDone = false

  /// How long a client waits after a request that was not answered: a service that is down would otherwise be asked without end.
  static let pauseAfterFailure = TimeAmount.milliseconds(20)

  init(_ worker: Worker, index: Int) {
    self.worker = worker
    self.index = index
    var random = Random(seed: worker.plan.seed &* 0x9E37_79B9 &+ UInt64(index))
    slot = .now() + .nanoseconds(worker.interval == 0 ? 0 : Int64(random.below(Int(worker.interval) + 1)))
    self.random = random
    let plan = worker.plan
    mix = plan.longClients == 0 ? plan.mix : plan.mix.part(long: index < plan.longClients) ?? plan.mix
    turn = index
    connections = Array(repeating: nil, count: worker.plan.targets.count)
  }

  /// Starts the next request, now or when the rate allows it.
  func next() {
    pause = nil
    guard worker.mayStart else { return finish() }
    if worker.interval > 0 {
      let now = NIODeadline.now()
      if slot > now { return wait(until: slot) }
      // What a slow request held up is made good, but never more than a second of it.
      slot = max(slot, now - .seconds(1)) + .nanoseconds(worker.interval)
    }
    guard worker.claim() else { return finish() }
    start()
  }

  /// Time has passed: ends what takes too long, and the waiting when nothing more shall start.
  func tick(_ now: NIODeadline) {
    for connection in connections { connection?.expire(now) }
    if let pause, !worker.mayStart {
      pause.cancel()
      next()
    }
  }

  private func start() {
    let plan = worker.plan
    let target = turn % plan.targets.count
    turn += 1
    let kind = mix.pick(&random)
    let user = user(plan)
    count += 1
    let fresh = random.below(10_000) < plan.newConnectionShare
    let request = worker.factory.request(kind, target: target, user: user, &random)
    let begun = Begun(kind: kind, user: user, target: target, start: worker.now())
    worker.inFlight += 1
    if let connection = connections[target] {
      if !fresh, connection.isIdle { return send(request, begun, on: connection) }
      connection.close()
      connections[target] = nil
    }
    connect(request, begun)
  }

  /// Client 3 of 200 has the users 3, 203, 403, and so on, and takes them in turn; with fewer users than clients some share one.
  private func user(_ plan: LoadPlan) -> Int {
    guard plan.users > plan.clients else { return index % plan.users }
    let mine = (plan.users - index + plan.clients - 1) / plan.clients
    return index + (count % mine) * plan.clients
  }

  private func connect(_ request: PreparedRequest, _ begun: Begun) {
    worker.connect(to: begun.target).assumeIsolated().whenComplete { result in
      switch result {
      case .success(let channel):
        do {
          let connection = try channel.pipeline.syncOperations.handler(type: Connection.self)
          self.connections[begun.target] = connection
          self.worker.tally.connectionsOpened += 1
          self.send(request, begun, on: connection)
        } catch {
          // The connection ended in the same moment in which it was made, and took its handler with it.
          self.ended(Outcome(.cut, detail: "closed when made"), begun, reused: false)
        }
      case .failure(let error):
        if isLocalShortage(error) { return self.connectLater(request, begun) }
        let isLate = if case ChannelError.connectTimeout = error { true } else { false }
        self.ended(Outcome(isLate ? .timeout : .refusedConnect, detail: "connect: \(describe(error))"), begun, reused: false)
      }
    }
  }

  /// This machine has no port or descriptor to spare, which says nothing about the service: the request starts later, or not at all.
  private func connectLater(_ request: PreparedRequest, _ begun: Begun) {
    worker.tally.localShortages += 1
    worker.loop.assumeIsolated().scheduleTask(in: Self.pauseAfterFailure) {
      guard self.worker.mayStart else {
        self.worker.inFlight -= 1
        return self.finish()
      }
      var again = begun
      again.start = self.worker.now()
      self.connect(request, again)
    }
  }

  private func send(_ request: PreparedRequest, _ begun: Begun, on connection: Connection) {
    let reused = connection.isUsed
    connection.send(request, deadline: .now() + worker.plan.limit(begun.kind)) { [self] outcome, reusable in
      if !reusable, connections[begun.target] === connection { connections[begun.target] = nil }
      ended(outcome, begun, reused: reused)
    }
  }

  private func ended(_ outcome: Outcome, _ begun: Begun, reused: Bool) {
    worker.inFlight -= 1
    worker.add(
      Finished(
        kind: begun.kind, outcome: outcome, start: begun.start, end: worker.now(), client: index, user: begun.user, target: begun.target,
        reused: reused))
    if outcome.fate == .answered { return next() }
    wait(until: .now() + Self.pauseAfterFailure)
  }

  private func wait(until deadline: NIODeadline) {
    pause = worker.loop.assumeIsolated().scheduleTask(deadline: deadline) { self.next() }
  }

  private func finish() {
    guard !isDone else { return }
    isDone = true
    for connection in connections { connection?.close() }
    worker.clientDone()
  }

  /// What is known of a request when it starts.
  private struct Begun {
    var kind: RequestKind
    var user: Int
    var target: Int
    var start: Int64
  }
}
