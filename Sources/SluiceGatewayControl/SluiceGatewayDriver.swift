internal import Foundation
package import SluiceEngine
package import SluiceGatewayAPI
package import SluiceModel
package import SluiceRollout
internal import Synchronization

/// Drives Sluice's own gateway: the engine's port, and what the CLI asks beside it. Streams are kept open until `close()`.
package final class SluiceGatewayDriver: GatewayPort {
  private struct State {
    var links: [GatewayID: GatewayLink] = [:]
    var watchers: [GatewayID: GatewayWatcher] = [:]
    var isClosed = false
  }

  private let dialer: any GatewayDialer
  private let times: GatewayTimes
  private let state = Mutex(State())

  package init(dialer: any GatewayDialer, times: GatewayTimes = GatewayTimes()) {
    self.dialer = dialer
    self.times = times
  }

  /// Ends all streams; watches end, and what is asked afterwards is unreachable.
  package func close() async {
    let (links, watchers) = state.withLock { state in
      state.isClosed = true
      defer { (state.links, state.watchers) = ([:], [:]) }
      return (Array(state.links.values), Array(state.watchers.values))
    }
    for watcher in watchers { await watcher.close() }
    for link in links { await link.close() }
  }

  // MARK: What the engine asks

  package func claim(_ claim: FenceClaim, gateway: GatewayID) async -> ClaimAnswer<GatewayFact> {
    do {
      let reply: ClaimReply = try await ask("PUT", claim.service, "/fence", FenceOrder(fence: claim.fence), gateway)
      await note(reply.status, gateway)
      let fact = GatewayFact(reply.status, gateway: gateway)
      // One that nobody can have written is none.
      guard let copy = reply.record, copy.revision.isBounded else { return .granted(fact, nil) }
      guard let bytes = Data(base64Encoded: copy.content) else {
        return .failed(
          Failure(
            .gateway, "gateway \(gateway): its copy of \(claim.service)'s record is not Base64",
            remedy: "sluice gateway exclude \(gateway.host)"))
      }
      return .granted(fact, SignedCopy(envelope: [UInt8](bytes), revision: copy.revision))
    } catch let error as AdminError {
      switch error.reason {
      case .fenceHeld:
        // A gateway knows nothing of controllers' lives; hosts do, and with a majority of them the acquisition may go over this one.
        if let holder = error.holder {
          guard holder.isBounded else { return .failed(.beyondBounds("epoch \(holder.epoch) of \(claim.service)'s fence", gateway)) }
          return .refused(FenceHolder(fence: holder, machine: holder.machine, since: claim.since, released: true))
        }
        return .failed(Failure(error, gateway: gateway))
      case .ending: return .unreachable(error.error)
      default: return .failed(Failure(error, gateway: gateway))
      }
    } catch { return .unreachable("\(error)") }
  }

  package func withdraw(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {
    // A gateway that does not take it back, such as one of Sluice 0.1, is gone over by the next claim that has a majority of the hosts.
    let _: ServiceStatus? = try? await ask("DELETE", service, "/fence", FenceOrder(fence: fence), gateway)
  }

  package func setTable(
    _ content: TableContent, revision: Revision, service: ServiceName, fence: Fence, gateway: GatewayID
  ) async -> AttemptResult {
    await attempt(gateway) {
      let table = RouteTable(content, revision: revision, service: service, fence: fence)
      let status: ServiceStatus = try await self.ask("PUT", service, "/table", table, gateway)
      await self.note(status, gateway)
      return .succeeded(.gateway(GatewayFact(status, gateway: gateway)))
    }
  }

  package func removeTable(service: ServiceName, fence: Fence, gateway: GatewayID) async -> AttemptResult {
    await attempt(gateway) {
      do {
        let status: ServiceStatus = try await self.ask("DELETE", service, "", FenceOrder(fence: fence), gateway)
        await self.note(status, gateway)
        return .succeeded(.gateway(GatewayFact(status, gateway: gateway)))
      } catch let error as AdminError where error.reason == .notFound {
        return .succeeded(.gateway(GatewayFact(gateway: gateway, revision: nil)))
      }
    }
  }

  package func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to gateway: GatewayID) async -> Bool {
    let record = RecordCopy(revision: copy.revision, content: Data(copy.envelope).base64EncodedString())
    do {
      let _: ServiceStatus = try await ask("PUT", service, "/record", RecordOrder(fence: fence, record: record), gateway)
      return true
    } catch { return false }
  }

  package func renewLease(_ service: ServiceName, fence: Fence, gateway: GatewayID) async {
    // What refuses it or cannot be reached is told by the stream and by orders.
    let _: ServiceStatus? = try? await ask("PUT", service, "/lease", FenceOrder(fence: fence), gateway)
  }

  package func watch(_ service: ServiceName, gateway: GatewayID) -> AsyncStream<GatewayNews> {
    // Each element is all that is known, so a slow reader loses nothing when it gets only the newest.
    let (stream, continuation) = AsyncStream.makeStream(of: GatewayNews.self, bufferingPolicy: .bufferingNewest(16))
    let watcher = state.withLock { state -> GatewayWatcher? in
      if state.isClosed { return nil }
      if let watcher = state.watchers[gateway] { return watcher }
      let watcher = GatewayWatcher(gateway: gateway, dialer: dialer, times: times)
      state.watchers[gateway] = watcher
      return watcher
    }
    guard let watcher else {
      continuation.finish()
      return stream
    }
    Task { await watcher.subscribe(service, continuation) }
    return stream
  }

  /// Turns what an exchange throws into the outcome of an attempt.
  private func attempt(_ gateway: GatewayID, _ work: () async throws -> AttemptResult) async -> AttemptResult {
    do { return try await work() } catch let error as AdminError {
      return error.reason == .ending ? .unreachable(error.error) : .failed(Failure(error, gateway: gateway))
    } catch let error as GatewayUnreachable {
      return .unreachable(error.description)
    } catch { return .inDoubt("\(error)") }
  }

  // MARK: What the CLI asks; throws `AdminError`, `GatewayUnreachable` or `GatewayInDoubt`

  /// The whole gateway: version, clock, and every service.
  package func status(_ gateway: GatewayID) async throws -> GatewayStatus { try await send("GET", "/v1/status", [], gateway) }

  /// One service there. `AdminError` with `.notFound` where the gateway knows nothing of it.
  package func status(of service: ServiceName, _ gateway: GatewayID) async throws -> ServiceStatus {
    try await send("GET", "/v1/services/\(service)", [], gateway)
  }

  /// Moves the service's switch, now or at a time.
  package func order(_ order: SwitchOrder, service: ServiceName, gateway: GatewayID) async throws -> ServiceStatus {
    try await ask("PUT", service, "/switch", order, gateway)
  }

  /// Takes an order back that waits for its time; none is no error.
  package func cancelSwitch(_ service: ServiceName, fence: Fence, gateway: GatewayID) async throws -> ServiceStatus {
    try await ask("DELETE", service, "/switch/at", FenceOrder(fence: fence), gateway)
  }

  /// The fence that stands there, however high it is. `AdminError` with `.notFound` where the gateway knows nothing of the service.
  package func fence(of service: ServiceName, gateway: GatewayID) async throws -> Fence {
    struct Standing: Decodable { var fence: Fence }
    let standing: Standing = try await send("GET", "/v1/services/\(service)", [], gateway, bounded: false)
    return standing.fence
  }

  /// Gives a fence that nobody can exceed back to a number that controllers can count on from; an operator's word. The answer tells what stands then.
  package func resetFence(_ order: FenceReset, service: ServiceName, gateway: GatewayID) async throws -> ClaimReply {
    let reply: ClaimReply = try await ask("PUT", service, "/fence/reset", order, gateway)
    // Revisions fall with it: what was acknowledged before says nothing any more.
    await state.withLock { $0.watchers[gateway] }?.answered(service, nil)
    return reply
  }

  /// Lets the gateway's health address answer 503, or 200 again.
  @discardableResult
  package func setDraining(_ isDraining: Bool, gateway: GatewayID) async throws -> GatewayStatus {
    try await send("PUT", "/v1/gateway/\(isDraining ? "drain" : "undrain")", [], gateway)
  }

  // MARK: Asking

  private func ask<Value: Decodable>(
    _ method: String, _ service: ServiceName, _ rest: String, _ order: some Encodable, _ gateway: GatewayID
  ) async throws -> Value {
    try await send(method, "/v1/services/\(service)\(rest)", try AdminAnswer.body(order), gateway)
  }

  private func send<Value: Decodable>(
    _ method: String, _ path: String, _ body: [UInt8], _ gateway: GatewayID, bounded: Bool = true
  ) async throws -> Value {
    let link = try state.withLock { state throws(GatewayUnreachable) -> GatewayLink in
      if state.isClosed { throw GatewayUnreachable("the connections to gateways are closed") }
      if let link = state.links[gateway] { return link }
      let link = GatewayLink(gateway: gateway, dialer: dialer, times: times)
      state.links[gateway] = link
      return link
    }
    return try AdminAnswer.value(
      Value.self, try await link.exchange(AdminRequest(method: method, path: path, body: body)), bounded: bounded)
  }

  /// What was answered about a service is newer than lines of the watch that are still under way.
  private func note(_ status: ServiceStatus, _ gateway: GatewayID) async {
    await state.withLock { $0.watchers[gateway] }?.answered(status.service, status.revision)
  }
}
