package import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// A gateway that knows no service yet.
package protocol GatewaySubject: Sendable {
  var gateways: any GatewayPort { get }
  var gateway: GatewayID { get }
  var policy: ServicePolicy { get }
  /// A target for instance `number`; something accepts there.
  func target(_ number: Int, draining: Bool) -> TableTarget
}

/// What every gateway does (DESIGN section 4, rules 5, 6 and 8).
package enum GatewayContract {
  private static let mine = Fence(owner: "me@here:boot:1", epoch: 3)
  private static let newer = Fence(owner: "you@there:boot:2", epoch: 4)

  package static let laws: [Law<any GatewaySubject>] = [
    Law("a claim is granted to the first, to its holder and to a higher epoch, and to no other") { subject in
      try await granted(mine, subject)
      try await granted(mine, subject)
      for fence in [Fence(owner: "same epoch", epoch: 3), Fence(owner: "lower", epoch: 2)] {
        let answer = await claim(fence, subject)
        guard case .refused(let holder) = answer, holder.fence == mine else { throw BrokenLaw(description: "\(fence): \(answer)") }
      }
      try await granted(newer, subject)
    },
    Law("a claim that is withdrawn gives the fence back to who held it, unless something was ordered with it") { subject in
      let (service, gateway) = (subject.policy.name, subject.gateway)
      try await granted(mine, subject)
      _ = try await table(1, [subject.target(1, draining: false)], mine, subject)
      // In two rounds, as an acquisition goes over what it finds.
      try await granted(newer, subject)
      let higher = Fence(owner: newer.owner, epoch: 7)
      try await granted(higher, subject)
      await subject.gateways.withdraw(service, fence: higher, gateway: gateway)
      _ = try await table(2, [subject.target(1, draining: false)], mine, subject)
      // Twice, or another's, is nothing.
      await subject.gateways.withdraw(service, fence: higher, gateway: gateway)
      await subject.gateways.withdraw(service, fence: mine, gateway: gateway)
      _ = try await table(3, [subject.target(1, draining: false)], mine, subject)
      try await granted(newer, subject)
      try demand(await keep(1, newer, subject), "the holder's copy was not kept")
      await subject.gateways.withdraw(service, fence: newer, gateway: gateway)
      guard case .failed(let failure) = await set(4, [], mine, subject), failure.kind == .fenced else {
        throw BrokenLaw(description: "who had acted was gone over")
      }
    },
    Law("a table that was taken is told with its revision and its targets, and the same one again is taken") { subject in
      let fact = try await granted(mine, subject)
      try demand(fact.revision == nil && fact.targets.isEmpty, "\(fact)")
      for _ in 0..<2 {
        let taken = try await table(1, [subject.target(1, draining: false), subject.target(2, draining: true)], mine, subject)
        try demand(taken.revision == Revision(epoch: 3, version: 1) && taken.targets.map(\.instance) == [1, 2], "\(taken)")
      }
      let after = try await granted(mine, subject)
      try demand(after.revision == Revision(epoch: 3, version: 1), "\(after)")
    },
    Law("an older table is refused, and the newer one stands") { subject in
      try await granted(mine, subject)
      _ = try await table(5, [subject.target(1, draining: false)], mine, subject)
      let result = await set(4, [], mine, subject)
      guard case .failed(let failure) = result, failure.kind != .fenced else { throw BrokenLaw(description: "\(result)") }
      let fact = try await granted(mine, subject)
      try demand(fact.revision == Revision(epoch: 3, version: 5) && fact.targets.map(\.instance) == [1], "\(fact)")
    },
    Law("an older fence changes no table and leaves no copy") { subject in
      try await granted(mine, subject)
      _ = try await table(1, [subject.target(1, draining: false)], mine, subject)
      try await granted(newer, subject)
      for result in [
        await set(9, [], mine, subject),
        await subject.gateways.removeTable(service: subject.policy.name, fence: mine, gateway: subject.gateway),
      ] {
        guard case .failed(let failure) = result, failure.kind == .fenced else { throw BrokenLaw(description: "\(result)") }
        try demand(failure.holder == newer, "\(failure)")
      }
      try demand(await !keep(1, mine, subject), "an older fence has left a copy")
      let fact = try await granted(newer, subject)
      try demand(fact.revision == Revision(epoch: 3, version: 1), "\(fact)")
    },
    Law("a table that was removed is gone, and removing it again is no failure") { subject in
      try await granted(mine, subject)
      _ = try await table(1, [subject.target(1, draining: false)], mine, subject)
      for _ in 0..<2 {
        let result = await subject.gateways.removeTable(service: subject.policy.name, fence: mine, gateway: subject.gateway)
        guard case .succeeded(.gateway(let fact)) = result else { throw BrokenLaw(description: "\(result)") }
        try demand(fact.revision == nil && fact.targets.isEmpty, "\(fact)")
      }
    },
    Law("the record's copy comes back with the next claim; an older one does not go over a newer") { subject in
      try await granted(mine, subject)
      for version: UInt64 in [9, 10] { try demand(await keep(version, mine, subject), "version \(version) was not kept") }
      // Whether an older one counts as kept where a newer one lies is left to the adapter.
      _ = await keep(8, mine, subject)
      guard case .granted(_, let copy) = await claim(mine, subject) else { throw BrokenLaw(description: "not granted") }
      try demand(copy == HostContract.copy(10, mine, subject.policy), "\(String(describing: copy?.revision)) came back")
    },
    Law("each fact of one start is told with a higher sequence") { subject in
      let first = try await granted(mine, subject)
      let second = try await table(1, [subject.target(1, draining: false)], mine, subject)
      try demand(second.boot == first.boot && (second.sequence ?? 0) > (first.sequence ?? 0), "\(first), then \(second)")
    },
  ]

  private static func claim(_ fence: Fence, _ subject: any GatewaySubject) async -> ClaimAnswer<GatewayFact> {
    let claim = FenceClaim(service: subject.policy.name, fence: fence, machine: "here", since: WallTime(milliseconds: 7), takeOver: false)
    return await subject.gateways.claim(claim, gateway: subject.gateway)
  }

  @discardableResult
  private static func granted(_ fence: Fence, _ subject: any GatewaySubject) async throws -> GatewayFact {
    let answer = await claim(fence, subject)
    guard case .granted(let fact, _) = answer else { throw BrokenLaw(description: "claim of \(fence): \(answer)") }
    return fact
  }

  private static func set(_ version: UInt64, _ targets: [TableTarget], _ fence: Fence, _ subject: any GatewaySubject) async -> AttemptResult
  {
    let content = TableContent(
      route: subject.policy.route ?? Route(gateway: subject.gateway.gateway), readiness: ReadinessCheck(probe: .tcp),
      drain: subject.policy.drain, targets: targets, hold: nil)
    return await subject.gateways.setTable(
      content, revision: Revision(epoch: fence.epoch, version: version), service: subject.policy.name, fence: fence,
      gateway: subject.gateway)
  }

  private static func table(
    _ version: UInt64, _ targets: [TableTarget], _ fence: Fence, _ subject: any GatewaySubject
  ) async throws -> GatewayFact {
    let result = await set(version, targets, fence, subject)
    guard case .succeeded(.gateway(let fact)) = result else { throw BrokenLaw(description: "table \(version): \(result)") }
    return fact
  }

  private static func keep(_ version: UInt64, _ fence: Fence, _ subject: any GatewaySubject) async -> Bool {
    await subject.gateways.replicate(
      HostContract.copy(version, fence, subject.policy), service: subject.policy.name, fence: fence, to: subject.gateway)
  }
}
