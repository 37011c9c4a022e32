import Glibc
import NIOCore
import NIOPosix
package import SluiceGatewayAPI
import SluiceModel
import Synchronization

/// A running gateway: its event loops, listeners and admin socket.
package final class GatewayProcess: Sendable {
  /// Why it could not start, and what to do.
  package struct StartFailure: Error, CustomStringConvertible {
    package var description: String
  }

  /// Where clients are accepted, with the ports that were found for 0.
  package let addresses: [GatewayConfiguration.Address]
  /// Where the health address is.
  package let healthAddress: GatewayConfiguration.Address?
  private let group: MultiThreadedEventLoopGroup
  private let side: MultiThreadedEventLoopGroup
  private let workers: [LoopWorker]
  private let control: ControlPlane
  private let connections: ConnectionBound
  private let listeners: [any Channel]
  private let sideListeners: [any Channel]
  private let flag: HealthResponder.Flag
  private let finish: Milliseconds
  private let lock: StateLock
  private let ended = Atomic<Bool>(false)

  /// Starts everything: state is restored on every loop before the first accept. Blocks; not for an event loop.
  ///
  /// `log` is given lines for people (standard error).
  package init(_ configuration: GatewayConfiguration, log: @escaping @Sendable (String) -> Void) throws {
    if let problem = configuration.problem { throw StartFailure(description: problem) }
    let loops = configuration.loops ?? System.coreCount
    group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
    side = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let limits = configuration.limits ?? .init()
    connections = ConnectionBound(limits.connections, descriptors: Self.descriptorLimit())
    let settings = WorkerSettings(limits: limits, trusted: TrustedNetworks(configuration.trustedProxies), connections: connections)
    let controlLoop = side.next()
    let link = ControlLink(loop: controlLoop)
    workers = group.makeIterator().enumerated().map { index, loop in
      LoopWorker(
        loop: loop, settings: settings, index: index, drained: { service in link.tell { $0.noteChange(service) } },
        faulted: { reports, others in link.tell { $0.note(reports, others: others) } })
    }
    flag = HealthResponder.Flag()
    let store = StateStore(directory: configuration.stateDirectory)
    control = ControlPlane(
      loop: controlLoop, workers: workers, store: store, probeLoop: side.next(), flag: flag, connections: connections, log: log
    ) { service, key, passed, text in
      link.tell { $0.probed(service, key, passed: passed, text: text) }
    }
    link.connect(control)
    finish = configuration.finish ?? .seconds(30)
    var opened: [any Channel] = []
    var openedAside: [any Channel] = []
    do {
      lock = try store.open()
      try PortGuard.check(configuration)
      let control = self.control
      try controlLoop.flatSubmit { control.restore() }.wait()
      for worker in workers { try worker.loop.submit { worker.start() }.wait() }
      let binder = ListenerBinder(workers: workers, control: control, controlLoop: controlLoop, flag: flag)
      addresses = try configuration.listen.map { address in
        do { return try binder.listen(address, into: &opened) } catch { throw PortGuard.failure(error, at: address) }
      }
      let own = try opened.compactMap { try PortWatch.place(of: $0) }
      try controlLoop.submit { control.portWatch = PortWatch(own) }.wait()
      healthAddress = try configuration.health.map { address in
        do { return try binder.listenForHealth(address, into: &openedAside) } catch { throw PortGuard.failure(error, at: address) }
      }
      try binder.listenForAdmin(configuration.adminSocket, into: &openedAside)
    } catch {
      for channel in opened + openedAside { channel.close(promise: nil) }
      try? group.syncShutdownGracefully()
      try? side.syncShutdownGracefully()
      throw error
    }
    listeners = opened
    sideListeners = openedAside
  }

  /// Stops accepting, lets what is in flight finish for a bounded time, cuts the rest, and ends. Blocks; a second call does nothing.
  ///
  /// What fails on the way keeps nothing else from its end; the first fault is thrown once all is done.
  package func stop() throws {
    guard !ended.exchange(true, ordering: .relaxed) else { return }
    var fault: (any Error)?
    func attempt(_ step: () throws -> Void) {
      do { try step() } catch { fault = fault ?? error }
    }
    flag.set(false)
    for listener in listeners { listener.close(promise: nil) }
    for worker in workers { attempt { try worker.onLoop { $0.end() }.wait() } }
    attempt {
      let deadline = NIODeadline.now() + .milliseconds(finish.value)
      while try openConnections() > 0, NIODeadline.now() < deadline { usleep(20_000) }
    }
    for worker in workers { attempt { try worker.onLoop { $0.cutAll() }.wait() } }
    attempt { try control.loop.submit { [control] in control.end() }.wait() }
    for worker in workers { attempt { try worker.onLoop { $0.stop() }.wait() } }
    for listener in sideListeners { listener.close(promise: nil) }
    attempt { try group.syncShutdownGracefully() }
    attempt { try side.syncShutdownGracefully() }
    lock.release()
    if let fault { throw fault }
  }

  private static func descriptorLimit() -> Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < Int.max else { return nil }
    return Int(limit.rlim_cur)
  }

  private func openConnections() throws -> Int {
    try workers.map { try $0.onLoop { $0.connectionCount }.wait() }.reduce(0, +)
  }
}

/// Breaks the circle at the start: loops are made before the control side they report to.
private final class ControlLink: @unchecked Sendable {
  private let loop: any EventLoop
  /// Set before any loop is given work, and not changed until the process ends.
  private weak var control: ControlPlane?

  init(loop: any EventLoop) { self.loop = loop }

  func connect(_ control: ControlPlane) { self.control = control }

  func tell(_ body: @escaping @Sendable (ControlPlane) -> Void) {
    loop.execute { if let control = self.control { body(control) } }
  }
}
