import NIOCore
import Synchronization

/// Keep-alive clients that ask without pause and know what became of each request.
final class LoadClients: Sendable {
  struct Tally: Sendable {
    var sent = 0
    var answered = 0
    var refused = 0
    var lost: [String] = []
  }

  private let ending = Atomic<Bool>(false)
  private let tally = Mutex(Tally())

  var now: Tally { tally.withLock { $0 } }

  func end() { ending.store(true, ordering: .relaxed) }

  /// Runs this many clients until `end`. Every third request is a POST with a body, every seventh a slow one.
  func run(_ count: Int, _ gateway: TestGateway) async {
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<count { group.addTask { await self.client(number, gateway) } }
    }
  }

  private func client(_ number: Int, _ gateway: TestGateway) async {
    var index = number
    while !ending.load(ordering: .relaxed) {
      do {
        let client = try await gateway.client()
        // A new connection now and then, so that accepting is under test too.
        for _ in 0..<50 where !ending.load(ordering: .relaxed) {
          index += 1
          tally.withLock { $0.sent += 1 }
          let response = try await client.request(Self.request(index))
          tally.withLock { tally in
            switch response.status {
            case 200: tally.answered += 1
            case 503: tally.refused += 1
            default: tally.lost.append("\(response.status) \(response.body)")
            }
          }
        }
        await client.close()
      } catch {
        tally.withLock { $0.lost.append("\(error)") }
      }
    }
  }

  private static func request(_ index: Int) -> String {
    let user = "Host: a\r\nX-User: \(index)\r\n"
    if index % 7 == 0 { return "GET /slow/20 HTTP/1.1\r\n\(user)\r\n" }
    if index % 3 == 0 { return "POST /upload HTTP/1.1\r\n\(user)Content-Length: 5\r\n\r\nhello" }
    return "GET / HTTP/1.1\r\n\(user)\r\n"
  }
}
