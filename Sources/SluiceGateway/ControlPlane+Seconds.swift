import NIOCore
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// What the control side looks at once a second: leases, and what watchers hear of splits.
extension ControlPlane {
  /// Begins the seconds. Call on the control loop, once what stood before is restored.
  func startSeconds() {
    loop.preconditionInEventLoop()
    seconds = loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [weak self] _ in
      self?.fallBackIfDue()
      self?.tellTraffic()
      self?.tellFaults()
      self?.lookAtPorts()
    }
  }

  private func lookAtPorts() {
    guard !ending else { return }
    for line in portWatch.look() { log(line) }
  }

  /// A loop has met faults.
  func note(_ reports: [FaultReport], others: Int) {
    loop.preconditionInEventLoop()
    for report in reports {
      guard let target = report.target else { continue }
      let key = TargetKey(instance: target.instance, authority: target.authority)
      lastFaults[report.service, default: [:]][key] = LastFault(text: report.text, at: wallTime())
    }
    faults.take(reports, others: others)
    tellFaults()
  }

  private func tellFaults() {
    for line in faults.due(now: monotonicTime()) { log(line) }
    for name in lastFaults.keys {
      let known = services[name]?.targets ?? [:]
      lastFaults[name] = lastFaults[name]?.filter { known[$0.key] != nil }
    }
    lastFaults = lastFaults.filter { !$0.value.isEmpty }
  }

  /// A controller is there: it need not change anything to say so.
  func renew(_ name: ServiceName, _ order: FenceOrder) -> EventLoopFuture<ServiceStatus> {
    loop.preconditionInEventLoop()
    if ending { return loop.makeFailedFuture(AdminError.ending) }
    guard services[name] != nil else { return loop.makeFailedFuture(AdminError.noService(name)) }
    // One that raises the fence is a claim, and made durable as such.
    if services[name]!.standing.fence != order.fence {
      return change(name) { service throws(AdminError) in try service.claim(order) }
    }
    services[name]!.renewLease(now: monotonicTime())
    return status(of: name)
  }

  private func fallBackIfDue() {
    guard !ending else { return }
    for name in services.keys.sorted() where services[name]!.fallBackIfDue(now: monotonicTime(), wall: wallTime()) {
      log("\(name): no controller was heard; all users go to the stable release until a table with another revision comes")
      save(name)
      publish(name).whenSuccess { self.noteChange(name) }
    }
  }

  /// Sends what has changed to all watchers; `all`: what has not, too, because one of them has just come.
  ///
  /// Collections that begin one after the other end in that order, since each loop answers in turn; so what is told never goes back.
  func tellTraffic(all: Bool = false) {
    guard !ending, !watchers.isEmpty else { return }
    for name in stream.told(now: .now()) {
      tally(name).whenSuccess { tally in
        for report in self.stream.news(name, tally.splits, all: all) { self.watchers.send(.traffic(report: report)) }
      }
    }
  }

  /// For `/metrics`.
  func figures(connections: Int) -> Metrics.Gateway {
    Metrics.Gateway(
      connections: connections, refusedConnections: self.connections.refused, strangers: portWatch.strangers.count)
  }

  /// Counts for `/metrics`.
  func tallies() -> EventLoopFuture<[(ServiceName, ServiceTally)]> {
    let names = self.names
    return EventLoopFuture.whenAllSucceed(names.map(tally), on: loop).map { Array(zip(names, $0)) }
  }
}

/// A clock that only goes forward, for leases.
func monotonicTime() -> Milliseconds { Milliseconds(Int64(NIODeadline.now().uptimeNanoseconds / 1_000_000)) }

/// What a target did last that made the gateway answer in its place.
struct LastFault {
  var text: String
  var at: WallTime
}
