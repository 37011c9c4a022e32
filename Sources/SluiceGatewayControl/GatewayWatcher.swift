internal import Foundation
internal import NIOCore
internal import SluiceEngine
internal import SluiceGatewayAPI
internal import SluiceModel
internal import SluiceRollout

/// One watch stream of one gateway, for all services that somebody watches there. It reconnects by itself for as long as anybody does.
actor GatewayWatcher {
  private enum State {
    /// Nothing has been heard yet.
    case connecting
    case live([ServiceName: ServiceStatus])
    case unreachable(String)
  }

  private struct Subscriber {
    var service: ServiceName
    var continuation: AsyncStream<GatewayNews>.Continuation
  }

  private let gateway: GatewayID
  private let dialer: any GatewayDialer
  private let times: GatewayTimes
  private var state = State.connecting
  /// The start of the gateway that the stream is of.
  private var boot: String?
  private var subscribers: [Int: Subscriber] = [:]
  private var nextSubscriber = 0
  private var task: Task<Void, Never>?
  /// The newest table that an order of ours was answered with: lines about an older one were under way before.
  private var acknowledged: [ServiceName: Revision] = [:]
  /// Services an order was answered about since the last line: answer and line may overtake each other, so the next heartbeat repeats the line.
  private var repeats: Set<ServiceName> = []

  init(gateway: GatewayID, dialer: any GatewayDialer, times: GatewayTimes) {
    self.gateway = gateway
    self.dialer = dialer
    self.times = times
  }

  func subscribe(_ service: ServiceName, _ continuation: AsyncStream<GatewayNews>.Continuation) {
    let key = nextSubscriber
    nextSubscriber += 1
    let subscriber = Subscriber(service: service, continuation: continuation)
    subscribers[key] = subscriber
    continuation.onTermination = { [weak self] _ in Task { await self?.unsubscribe(key) } }
    tell(subscriber)
    if task == nil { task = Task { await self.run() } }
  }

  func close() {
    task?.cancel()
    for subscriber in subscribers.values { subscriber.continuation.finish() }
    subscribers = [:]
  }

  /// An order about the service was answered; `revision` is what is live since.
  func answered(_ service: ServiceName, _ revision: Revision?) {
    if let revision { acknowledged[service] = max(acknowledged[service] ?? revision, revision) } else { acknowledged[service] = nil }
    repeats.insert(service)
  }

  private func unsubscribe(_ key: Int) {
    subscribers[key] = nil
    guard subscribers.isEmpty else { return }
    task?.cancel()
    task = nil
    state = .connecting
  }

  // MARK: Telling

  private func tell(_ subscriber: Subscriber) {
    switch state {
    case .connecting: break
    case .unreachable(let why): subscriber.continuation.yield(.unreachable(why))
    case .live(let services):
      let status = services[subscriber.service]
      if let known = acknowledged[subscriber.service], (status?.revision ?? Revision(epoch: 0, version: 0)) < known { return }
      subscriber.continuation.yield(.fact(status.map { GatewayFact($0, gateway: gateway) } ?? GatewayFact(gateway: gateway, revision: nil)))
    }
  }

  private func tell(_ service: ServiceName) {
    for (_, subscriber) in subscribers.sorted(by: { $0.key < $1.key }) where subscriber.service == service { tell(subscriber) }
  }

  private func tellAll() {
    for (_, subscriber) in subscribers.sorted(by: { $0.key < $1.key }) { tell(subscriber) }
  }

  // MARK: Hearing

  private func run() async {
    var pause = times.firstPause
    while !Task.isCancelled {
      let why = await listen { pause = self.times.firstPause }
      if Task.isCancelled { return }
      if case .unreachable(let before) = state, before == why {
      } else {
        state = .unreachable(why)
        tellAll()
      }
      // Many controllers and gateways must not fall into step.
      try? await Task.sleep(for: pause * Double.random(in: 0.8...1.2))
      pause = min(pause * 2, times.longestPause)
    }
  }

  /// One stream from its beginning to its end; returns why it ended.
  private func listen(heard: () -> Void) async -> String {
    let stream: any GatewayStream
    do { stream = try await GatewayLink.dial(gateway, dialer, times) } catch { return error.description }
    let why: String
    do {
      try await within(times.answer) { try await stream.write(AdminRequest(method: "GET", path: "/v1/watch").bytes) }
      why = try await hear(stream, heard)
    } catch let error as TooLong {
      why = "it has said nothing for \(error.limit)"
    } catch { why = "\(error)" }
    await stream.close()
    return why
  }

  private func hear(_ stream: any GatewayStream, _ heard: () -> Void) async throws -> String {
    var parser = ResponseParser()
    var status = 0
    var lines = ByteBuffer()
    while true {
      guard let bytes = try await within(times.silence, { try await stream.read() }) else { return "it has ended the stream" }
      for event in try parser.feed(bytes) {
        switch event {
        case .head(let answer, _): status = answer
        case .body(let part): lines.writeImmutableBuffer(part)
        case .end: return status == 200 ? "it has ended the stream" : AdminAnswer.refusal(status, lines).description
        }
      }
      guard status == 200 else { continue }
      while let end = lines.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
        let line = lines.readBytes(length: end + 1 - lines.readerIndex) ?? []
        try AdminAnswer.refuseExcess(line)
        take(try JSONDecoder().decode(WatchLine.self, from: Data(line)), heard)
      }
      lines.discardReadBytes()
    }
  }

  private func take(_ line: WatchLine, _ heard: () -> Void) {
    switch line {
    case .snapshot(let status):
      heard()
      // Whatever stood before, this stands now: the gateway may have come back with an older table.
      acknowledged = [:]
      boot = status.boot
      state = .live(Dictionary(status.services.map { ($0.service, $0) }, uniquingKeysWith: { $1 }))
      tellAll()
    case .service(let status): change(status.service, status)
    case .removed(let service): change(service, nil)
    case .traffic(let report): tell(report)
    case .heartbeat:
      for service in repeats.sorted() { tell(service) }
      repeats = []
    }
  }

  private func tell(_ report: TrafficReport) {
    guard let boot else { return }
    let fact = TrafficFact(
      gateway: gateway, boot: boot, generation: report.generation, canary: report.canary, stable: report.stable)
    for (_, subscriber) in subscribers.sorted(by: { $0.key < $1.key }) where subscriber.service == report.service {
      subscriber.continuation.yield(.traffic(fact))
    }
  }

  private func change(_ service: ServiceName, _ status: ServiceStatus?) {
    guard case .live(var services) = state else { return }
    services[service] = status
    if status == nil { acknowledged[service] = nil }
    state = .live(services)
    tell(service)
  }
}
