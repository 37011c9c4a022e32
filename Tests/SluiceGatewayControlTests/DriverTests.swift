import NIOCore
import SluiceEngine
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceModel
import SluiceRollout
import SluiceTraffic
import Testing

/// Against the gateway itself.
@Suite struct DriverTests {
  @Test func `a service is claimed, routed, watched and removed`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      guard case .granted(let standing, nil) = await driver.claim(claim(ann), gateway: edge) else {
        Issue.record("the claim was not granted")
        return
      }
      #expect(standing.revision == nil && standing.targets.isEmpty && standing.sequence == 1)
      let news = driver.watch("shop", gateway: edge)
      _ = try await first(of: news) { isFact($0) { $0.revision == nil } }
      let table = content([target(1, port: gateway.port), target(2, port: 1)])
      guard
        case .succeeded(.gateway(let fact)) = await driver.setTable(
          table, revision: revision(1), service: "shop", fence: ann, gateway: edge)
      else {
        Issue.record("the table was not taken")
        return
      }
      #expect(fact.revision == revision(1) && fact.targets.map(\.instance) == [1, 2])
      _ = try await first(of: driver.watch("shop", gateway: edge)) {
        isFact($0) {
          $0.revision == revision(1) && $0.target(1)?.healthy == true && $0.target(2)?.healthy == false && $0.target(2)?.probe != ""
        }
      }
      let drained = content([target(1, port: gateway.port, draining: true)])
      _ = await driver.setTable(drained, revision: revision(2), service: "shop", fence: ann, gateway: edge)
      _ = try await first(of: driver.watch("shop", gateway: edge)) {
        isFact($0) { $0.revision == revision(2) && $0.target(1)?.inFlight == 0 && $0.target(2) == nil }
      }
      let removed = await driver.removeTable(service: "shop", fence: ann, gateway: edge)
      guard case .succeeded(.gateway(let last)) = removed else {
        Issue.record("\(removed)")
        return
      }
      #expect(last.revision == nil && last.targets.isEmpty)
      // One stream for requests, one for all watches.
      #expect(gateway.dialer.opened == 2)
    }
  }

  @Test func `a lower fence is refused everywhere, with the holder's name`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      _ = await driver.claim(claim(ann), gateway: edge)
      for old in [Fence(owner: "bob@pc.99:b:1:1", epoch: 3), Fence(owner: "ann@laptop.1234:boot:1:2", epoch: 2)] {
        #expect(
          await driver.claim(claim(old), gateway: edge)
            == .refused(FenceHolder(fence: ann, machine: "laptop.1234", since: WallTime(milliseconds: 9), released: true)))
        for result in [
          await driver.setTable(content([]), revision: revision(1, epoch: old.epoch), service: "shop", fence: old, gateway: edge),
          await driver.removeTable(service: "shop", fence: old, gateway: edge),
        ] {
          guard case .failed(let failure) = result else {
            Issue.record("\(result)")
            continue
          }
          #expect(failure.kind == .fenced && failure.message.contains("edge/g1") && failure.holder == ann)
        }
        #expect(await !driver.replicate(copy(revision(1, epoch: 2)), service: "shop", fence: old, to: edge))
      }
    }
  }

  @Test func `an older table is refused as such, and the same one again is taken`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      let table = content([target(1, port: gateway.port)])
      for _ in 0..<2 {
        guard case .succeeded = await driver.setTable(table, revision: revision(5), service: "shop", fence: ann, gateway: edge) else {
          Issue.record("not taken")
          return
        }
      }
      guard case .failed(let failure) = await driver.setTable(table, revision: revision(4), service: "shop", fence: ann, gateway: edge)
      else {
        Issue.record("an older table was taken")
        return
      }
      #expect(failure.kind == .gateway)
    }
  }

  private func copy(_ revision: Revision, record: [UInt8] = [1]) -> SignedCopy {
    SignedCopy(CopyStatement(fleet: "prod", service: "shop", revision: revision, record: record), signature: "signed\nby somebody")
  }

  @Test func `the record's copy comes back with the claim, byte for byte`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      _ = await driver.claim(claim(ann), gateway: edge)
      let copy = copy(revision(7), record: (0..<100_000).map { $0 % 256 == 10 ? 11 : UInt8(truncatingIfNeeded: $0) })
      #expect(await driver.replicate(copy, service: "shop", fence: ann, to: edge))
      #expect(await driver.replicate(copy, service: "shop", fence: ann, to: edge))
      #expect(await !driver.replicate(self.copy(revision(6)), service: "shop", fence: ann, to: edge))
      let next = Fence(owner: "bob@pc.99:b:1:1", epoch: 4)
      guard case .granted(let fact, let found) = await driver.claim(claim(next), gateway: edge) else {
        Issue.record("not granted")
        return
      }
      #expect(found == copy && fact.revision == nil)
    }
  }

  @Test func `where nothing listens, nothing was done`() async throws {
    try await withGateway { gateway in
      let driver = gateway.driver
      guard case .unreachable = await driver.claim(claim(ann), gateway: edge),
        case .unreachable = await driver.setTable(content([]), revision: revision(1), service: "shop", fence: ann, gateway: edge)
      else {
        Issue.record("something answered")
        return
      }
      await #expect(throws: GatewayUnreachable.self) { try await driver.status(edge) }
      _ = try await first(of: driver.watch("shop", gateway: edge), isUnreachable)
      try await gateway.start()
      #expect(try await driver.status(edge).services.isEmpty)
      _ = try await first(of: driver.watch("shop", gateway: edge)) { isFact($0) { $0.revision == nil } }
    }
  }

  @Test func `a gateway that comes back is used and watched again, with the table it kept`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      let table = content([target(1, port: gateway.port)])
      _ = await driver.setTable(table, revision: revision(1), service: "shop", fence: ann, gateway: edge)
      let news = driver.watch("shop", gateway: edge)
      let boot = try await driver.status(edge).boot
      var heard = news.makeAsyncIterator()
      while let next = await heard.next(), !isFact(next, { $0.target(1)?.healthy == true }) {}
      try await gateway.stop()
      while let next = await heard.next(), !isUnreachable(next) {}
      try await gateway.start()
      while let next = await heard.next(), !isFact(next, { $0.revision == revision(1) }) {}
      // The stream that was kept is of the process that ended; the order goes over a new one.
      guard case .succeeded = await driver.setTable(table, revision: revision(2), service: "shop", fence: ann, gateway: edge) else {
        Issue.record("not taken after the restart")
        return
      }
      #expect(try await driver.status(edge).boot != boot)
    }
  }

  @Test func `switch, drain and status do what the command line asks`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      _ = await driver.claim(claim(ann), gateway: edge)
      let closed = try await driver.order(SwitchOrder(fence: ann, state: .closed), service: "shop", gateway: edge)
      #expect(closed.switch.state == .closed)
      let clock = try await driver.status(edge).clock
      let later = WallTime(milliseconds: clock.milliseconds + 3_600_000)
      #expect(
        try await driver.order(SwitchOrder(fence: ann, state: .open, at: later), service: "shop", gateway: edge).switch.pending?.at == later
      )
      #expect(try await driver.cancelSwitch("shop", fence: ann, gateway: edge).switch.pending == nil)
      let past = SwitchOrder(fence: ann, state: .open, at: WallTime(milliseconds: 1))
      #expect(await #expect(throws: AdminError.self) { try await driver.order(past, service: "shop", gateway: edge) }?.reason == .past)
      #expect(try await driver.status(of: "shop", edge).switch.state == .closed)
      #expect(await #expect(throws: AdminError.self) { try await driver.status(of: "other", edge) }?.reason == .notFound)
      #expect(try await driver.setDraining(true, gateway: edge).draining)
      #expect(try await !driver.setDraining(false, gateway: edge).draining)
    }
  }

  @Test func `many at once take turns on one stream, and many services share one watch`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let driver = gateway.driver
      let services = (0..<20).map { ServiceName("s\($0)") }
      let streams = services.map { driver.watch($0, gateway: edge) }
      await withTaskGroup(of: Void.self) { group in
        for service in services {
          group.addTask {
            var table = content([target(1, port: gateway.port)])
            // A route has one owner.
            table.route.hosts = ["\(service).example.com"]
            let result = await driver.setTable(table, revision: revision(1), service: service, fence: ann, gateway: edge)
            guard case .succeeded = result else {
              Issue.record("\(service): \(result)")
              return
            }
          }
        }
      }
      for stream in streams { _ = try await first(of: stream) { isFact($0) { $0.target(1)?.healthy == true } } }
      #expect(gateway.dialer.opened == 2)
    }
  }

  @Test func `after closing, watches end and orders are unreachable`() async throws {
    try await withGateway { gateway in
      try await gateway.start()
      let news = gateway.driver.watch("shop", gateway: edge)
      _ = try await first(of: news) { isFact($0) { _ in true } }
      let again = gateway.driver.watch("shop", gateway: edge)
      _ = try await gateway.driver.status(edge)
      await gateway.driver.close()
      for await _ in again {}
      await #expect(throws: GatewayUnreachable.self) { try await gateway.driver.status(edge) }
      for await _ in gateway.driver.watch("shop", gateway: edge) { Issue.record("news after closing") }
    }
  }
}
