import NIOCore
import SluiceGatewayAPI
import SluiceModel

/// The paths of the admin side and what each does. Runs on the control loop.
struct AdminAPI {
  let control: ControlPlane

  private typealias Reply = AdminConnection.Reply

  func run(method: String, target: String, body: [UInt8]) -> EventLoopFuture<AdminConnection.Reply> {
    let path = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
    let parts = path.split(separator: "/").map(String.init)
    do throws(AdminError) {
      switch (parts.count, parts.first) {
      case (1, "metrics"): return try metrics(method)
      case (2, "v1") where parts[1] == "status": return try get(method) { control.status() }
      case (2, "v1") where parts[1] == "watch":
        guard method == "GET" else { throw AdminError.method(method) }
        guard !control.watchers.isFull else { throw AdminError.watchers }
        return control.status().map { .watch($0) }
      case (3, "v1") where parts[1] == "gateway": return try gateway(method, parts[2])
      case (3..., "v1") where parts[1] == "services":
        return try service(method, ServiceName(parts[2]), rest: parts[3...].joined(separator: "/"), body)
      default: throw AdminError.noPath(String(path))
      }
    } catch {
      return control.loop.makeFailedFuture(error)
    }
  }

  private func metrics(_ method: String) throws(AdminError) -> EventLoopFuture<Reply> {
    guard method == "GET" else { throw AdminError.method(method) }
    return control.tallies().and(control.status()).map { tallies, status in
      .text(Metrics.text(tallies, control.figures(connections: status.connections)))
    }
  }

  private func gateway(_ method: String, _ word: String) throws(AdminError) -> EventLoopFuture<Reply> {
    guard word == "drain" || word == "undrain" else { throw AdminError.noPath("/v1/gateway/\(word)") }
    guard method == "PUT" || method == "POST" else { throw AdminError.method(method) }
    try control.setDraining(word == "drain")
    return json(control.status())
  }

  private func service(_ method: String, _ name: ServiceName, rest: String, _ body: [UInt8]) throws(AdminError) -> EventLoopFuture<Reply> {
    let now = wallTime()
    switch (method, rest) {
    case ("GET", ""): return json(control.status(of: name))
    case ("GET", "table"):
      guard let table = control.table(of: name) else { throw AdminError.noService(name) }
      return json(control.loop.makeSucceededFuture(table))
    case ("GET", "record"):
      guard let record = control.record(of: name) else { throw AdminError.noService(name) }
      return json(control.loop.makeSucceededFuture(record))
    case ("DELETE", ""):
      let order = try decode(FenceOrder.self, body)
      return json(
        control.change(name) { service throws(AdminError) in
          try service.remove(order)
          return true
        }.map { status in
          control.watchers.send(.removed(service: name))
          return status
        })
    case ("PUT", "table"):
      let table = try decode(RouteTable.self, body)
      if let problem = table.problem(for: name) {
        throw AdminError(reason: .badRequest, error: "the table cannot be served: \(problem)", remedy: "correct the table")
      }
      return json(control.change(name) { service throws(AdminError) in try service.put(table, now: now) })
    case ("PUT", "fence"):
      let order = try decode(FenceOrder.self, body)
      return json(
        control.change(name) { service throws(AdminError) in try service.claim(order) }.map { status in
          ClaimReply(status: status, table: control.table(of: name), record: control.record(of: name))
        })
    case ("PUT", "fence/reset"):
      let order = try decode(FenceReset.self, body)
      return json(
        control.change(name) { service throws(AdminError) in
          try service.reset(order)
          return true
        }.map { status in
          control.degraded[ControlPlane.locked(name)] = nil
          return ClaimReply(status: status, table: control.table(of: name), record: control.record(of: name))
        })
    case ("DELETE", "fence"):
      let order = try decode(FenceOrder.self, body)
      return json(control.change(name) { service throws(AdminError) in service.withdraw(order) })
    case ("PUT", "lease"): return json(control.renew(name, try decode(FenceOrder.self, body)))
    case ("PUT", "record"):
      let order = try decode(RecordOrder.self, body)
      return json(control.change(name) { service throws(AdminError) in try service.keep(order) })
    case ("PUT", "switch"):
      let order = try decode(SwitchOrder.self, body)
      return json(control.change(name) { service throws(AdminError) in try service.order(order, now: now) })
    case ("DELETE", "switch/at"):
      let order = try decode(FenceOrder.self, body)
      return json(control.change(name) { service throws(AdminError) in try service.cancel(order) })
    case (_, ""), (_, "table"), (_, "fence"), (_, "fence/reset"), (_, "lease"), (_, "record"), (_, "switch"), (_, "switch/at"):
      throw AdminError.method(method)
    default: throw AdminError.noPath("/v1/services/\(name)/\(rest)")
    }
  }

  private func get(_ method: String, _ ask: () -> EventLoopFuture<GatewayStatus>) throws(AdminError) -> EventLoopFuture<Reply> {
    guard method == "GET" else { throw AdminError.method(method) }
    return json(ask())
  }

  private func json(_ future: EventLoopFuture<some Encodable & Sendable>) -> EventLoopFuture<Reply> {
    future.flatMapThrowing { .json(try AdminJSON.encode($0)) }
  }

  private func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws(AdminError) -> Value {
    do {
      return try AdminJSON.decode(type, body)
    } catch {
      throw AdminError(reason: .badRequest, error: "the body is no \(type): \(Self.text(error))", remedy: "send it as JSON")
    }
  }

  /// Where and what, in one line.
  static func text(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func place(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      return path.isEmpty ? "" : " at \(path)"
    }
    return switch error {
    case .keyNotFound(let key, let context): "\(key.stringValue) is missing\(place(context))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      "\(context.debugDescription)\(place(context))"
    @unknown default: "\(error)"
    }
  }
}

extension AdminError {
  static let ending = AdminError(reason: .ending, error: "the gateway is ending", remedy: "try again when it has started anew")
  static let badName = AdminError(
    reason: .badRequest, error: "a service's name has letters, digits, dots, dashes and underscores only, at most 100",
    remedy: "use the name of the manifest")

  static func noService(_ name: ServiceName) -> AdminError {
    AdminError(reason: .notFound, error: "no service \(name) here", remedy: "put its table first")
  }

  static func method(_ method: String) -> AdminError {
    AdminError(reason: .method, error: "\(method) does nothing here", remedy: "use another method")
  }

  static let watchers = AdminError(
    reason: .ending, error: "\(WatchHub.limit) watch this gateway already", remedy: "end one of them, or ask for /v1/status")

  static func noPath(_ path: String) -> AdminError {
    AdminError(reason: .notFound, error: "nothing is at \(path)", remedy: "GET /v1/status tells what there is")
  }
}
