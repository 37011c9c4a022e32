internal import NIOCore
internal import SluiceModel

/// How long things may take.
package struct GatewayTimes: Hashable, Sendable {
  /// From the first try to an open stream.
  package var dial: Duration
  /// From a request to its whole answer.
  package var answer: Duration
  /// A watched gateway says something each second; after this it counts as unreachable.
  package var silence: Duration
  /// Between two tries to watch, doubled each time.
  package var firstPause: Duration
  package var longestPause: Duration

  package init(
    dial: Duration = .seconds(20), answer: Duration = .seconds(15), silence: Duration = .seconds(5),
    firstPause: Duration = .milliseconds(200), longestPause: Duration = .seconds(5)
  ) {
    self.dial = dial
    self.answer = answer
    self.silence = silence
    self.firstPause = firstPause
    self.longestPause = longestPause
  }
}

/// One request to the admin API. All of them may be repeated: whatever stands already is no error.
struct AdminRequest: Sendable {
  var method: String
  var path: String
  var body: [UInt8] = []

  /// RFC 9112 section 3.
  var bytes: ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeString(
      "\(method) \(path) HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n")
    buffer.writeBytes(body)
    return buffer
  }
}

struct AdminResponse: Sendable {
  var status: Int
  var body: ByteBuffer
}

/// The stream for requests to one gateway: made when first needed, kept open, made again when it was lost. Requests take turns.
actor GatewayLink {
  private let gateway: GatewayID
  private let dialer: any GatewayDialer
  private let times: GatewayTimes
  private var stream: (any GatewayStream)?
  private var turn: Task<Void, Never>?
  private var isClosed = false

  init(gateway: GatewayID, dialer: any GatewayDialer, times: GatewayTimes) {
    self.gateway = gateway
    self.dialer = dialer
    self.times = times
  }

  /// Throws `GatewayUnreachable` where nothing was sent, `GatewayInDoubt` where no whole answer came.
  ///
  /// Once its turn has come a request runs to its end, whether or not the caller is cancelled: half an exchange would spoil the stream.
  func exchange(_ request: AdminRequest) async throws -> AdminResponse {
    let before = turn
    let work = Task {
      await before?.value
      return try await self.perform(request)
    }
    turn = Task { _ = try? await work.value }
    return try await work.value
  }

  func close() async {
    isClosed = true
    await drop()
  }

  private func perform(_ request: AdminRequest) async throws -> AdminResponse {
    while true {
      let isKept = stream != nil
      let stream = try await opened()
      do {
        let (response, persists) = try await within(times.answer) { try await Self.talk(request, over: stream) }
        if !persists { await drop() }
        return response
      } catch let error as TooLong {
        await drop()
        throw GatewayInDoubt("gateway \(gateway) did not answer within \(error.limit)")
      } catch {
        await drop()
        // A stream that was kept may have been lost long ago; the request may be repeated, so it is, once, over a new one.
        if isKept, !isClosed { continue }
        if let error = error as? GatewayUnreachable { throw error }
        throw GatewayInDoubt("gateway \(gateway) was asked and did not answer: \(error)")
      }
    }
  }

  private func opened() async throws -> any GatewayStream {
    if let stream { return stream }
    guard !isClosed else { throw GatewayUnreachable("the connections to gateways are closed") }
    let new = try await Self.dial(gateway, dialer, times)
    if isClosed {
      await new.close()
      throw GatewayUnreachable("the connections to gateways are closed")
    }
    stream = new
    return new
  }

  private func drop() async {
    let old = stream
    stream = nil
    await old?.close()
  }

  /// Opens a stream, in the words of `GatewayUnreachable`.
  static func dial(_ gateway: GatewayID, _ dialer: any GatewayDialer, _ times: GatewayTimes) async throws(GatewayUnreachable)
    -> any GatewayStream
  {
    do {
      return try await within(times.dial) { try await dialer.dial(gateway) }
    } catch let error as GatewayUnreachable {
      throw error
    } catch let error as TooLong {
      throw GatewayUnreachable("no stream to it within \(error.limit)")
    } catch { throw GatewayUnreachable("\(error)") }
  }

  private static func talk(_ request: AdminRequest, over stream: any GatewayStream) async throws -> (AdminResponse, persists: Bool) {
    try await stream.write(request.bytes)
    var parser = ResponseParser()
    var response = AdminResponse(status: 0, body: ByteBuffer())
    var persists = false
    while true {
      let bytes = try await stream.read()
      for event in try bytes.map({ (bytes) throws(ResponseParser.Fault) in try parser.feed(bytes) }) ?? parser.feedEnd() {
        switch event {
        case .head(let status, let keeps): (response.status, persists) = (status, keeps)
        case .body(let part): response.body.writeImmutableBuffer(part)
        case .end: return (response, persists && bytes != nil)
        }
      }
    }
  }
}

/// A time limit has passed.
struct TooLong: Error {
  var limit: Duration
}

/// Runs work under a time limit; the work is cancelled when it has passed.
func within<Value: Sendable>(_ limit: Duration, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await work() }
    group.addTask {
      try await Task.sleep(for: limit)
      throw TooLong(limit: limit)
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}
