import NIOCore
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct SequenceTests {
    @Test func `of two statuses the one with the higher number is never older, wherever they were read`() async throws {
      try await withGateway(loops: 3, upstreams: 2) { gateway, upstreams in
        try await gateway.serve(TestGateway.split(1, stable: [upstreams[0]], canary: [upstreams[1]], share: 5_000))
        let load = LoadClients()
        async let running: Void = load.run(8, gateway)
        let watcher = try await gateway.watcher()
        let statuses = try await withThrowingTaskGroup(of: [ServiceStatus].self) { group in
          for _ in 0..<3 {
            group.addTask {
              var read: [ServiceStatus] = []
              for _ in 0..<25 { read.append(try await gateway.status()) }
              return read
            }
          }
          group.addTask {
            var read: [ServiceStatus] = []
            for version in 2..<12 {
              let table = TestGateway.split(UInt64(version), stable: [upstreams[0]], canary: [upstreams[1]], share: version * 500)
              read.append(try await gateway.put(table))
              read.append(try await gateway.lease())
            }
            return read
          }
          var all: [ServiceStatus] = []
          for try await read in group {
            // One after the other, each reader's own rise.
            let numbers = read.map { $0.sequence ?? 0 }
            #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
            all += read
          }
          return all
        }
        load.end()
        await running
        var told = statuses
        try await gateway.turn(.closed)
        while true {
          switch try await watcher.line() {
          case .snapshot(let gateway): told += gateway.services
          case .service(let status): told.append(status)
          case .removed, .traffic, .heartbeat: continue
          }
          if told.last?.switch.state == .closed { break }
        }
        await watcher.close()
        let inOrder = told.sorted { ($0.sequence ?? 0) < ($1.sequence ?? 0) }
        #expect(Set(inOrder.map(\.sequence)).count == told.count && inOrder.count > 95)
        for (older, newer) in zip(inOrder, inOrder.dropFirst()) {
          #expect(older.revision! <= newer.revision!)
          #expect(older.split!.generation <= newer.split!.generation)
          #expect(older.split!.generation == older.revision!)
          #expect(older.total.admitted <= newer.total.admitted && older.total.completed <= newer.total.completed)
        }
        #expect(load.now.lost.isEmpty)
      }
    }

    @Test func `tables that change who goes where in mid-load lose no request`() async throws {
      try await withGateway(loops: 2, upstreams: 3) { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        let load = LoadClients()
        async let running: Void = load.run(12, gateway)
        var version: UInt64 = 1
        func put(_ change: (inout RouteTable) -> Void) async throws {
          version += 1
          var table = TestGateway.split(version, stable: [upstreams[0]], canary: [upstreams[1]], share: 2_000)
          change(&table)
          try await gateway.put(table)
          let done = try await gateway.status().total.completed
          try await gateway.until("load") { $0.total.completed > done + 60 }
        }
        for _ in 0..<3 {
          // Beside the stable pool, then a canary of growing share, then the whole service, and back again.
          try await put { table in
            table.split = nil
            table.pools[1].role = .idle
          }
          try await gateway.until("healthy") { $0.targets.allSatisfy { $0.state != .warming } }
          for share in [500, 5_000, 10_000, 0] { try await put { $0.split?.share = BasisPoints(share) } }
          try await put { table in
            table.split = nil
            table.pools[1].role = .serving
          }
          try await put { table in
            table.split = nil
            table.pools[1].role = .serving
            table.pools[0].targets[0].state = .draining
          }
          try await put { table in
            table.split = nil
            table.pools[1].role = .serving
          }
          try await gateway.until("healthy") { $0.targets.allSatisfy { $0.state != .warming } }
        }
        load.end()
        await running
        #expect(load.now.lost.isEmpty && load.now.refused == 0, "\(load.now.lost.prefix(3))")
        #expect(load.now.answered == load.now.sent)
        #expect(upstreams[1].requestCount > 100 && upstreams[2].requestCount == 0)
      }
    }
  }
}
