import NIOCore

/// An answer the gateway gives itself.
struct LocalAnswer {
  var status: Int
  var reason: StaticString
  /// For people, in the body.
  var text: String
  /// Seconds for Retry-After.
  var retryAfter: Int?
  /// What it is counted and told as; nil: it is no fault of a service.
  var fault: FaultKind?

  static let noRoute = LocalAnswer(status: 404, reason: "Not Found", text: "no route for this host and path")
  static let closed = LocalAnswer(
    status: 503, reason: "Service Unavailable", text: "the service is closed for a moment", retryAfter: 1, fault: .closed)
  static let queueFull = LocalAnswer(
    status: 503, reason: "Service Unavailable", text: "the service is paused and its queue is full", retryAfter: 1, fault: .queueFull)
  static let heldTooLong = LocalAnswer(
    status: 503, reason: "Service Unavailable", text: "the service was paused for too long", retryAfter: 1, fault: .heldTooLong)
  static let noTarget = LocalAnswer(status: 503, reason: "Service Unavailable", text: "no healthy target", retryAfter: 1, fault: .noTarget)
  static let unreachable = LocalAnswer(status: 502, reason: "Bad Gateway", text: "no target could be reached", fault: .unreachable)
  static let brokeOff = LocalAnswer(
    status: 502, reason: "Bad Gateway", text: "the target closed the connection without an answer", fault: .brokeOff)
  static let badResponse = LocalAnswer(
    status: 502, reason: "Bad Gateway", text: "the target's answer could not be understood", fault: .badAnswer)
  static let tooSlow = LocalAnswer(status: 504, reason: "Gateway Timeout", text: "the target did not answer in time", fault: .noAnswer)
  static let connectTooSlow = LocalAnswer(
    status: 504, reason: "Gateway Timeout", text: "the target did not answer in time", fault: .connectTimeout)
  static let tooManyConnections = LocalAnswer(
    status: 503, reason: "Service Unavailable", text: "the gateway has too many connections", retryAfter: 1)
  static let slowRequest = LocalAnswer(status: 408, reason: "Request Timeout", text: "the request took too long to arrive")
  static let badBody = LocalAnswer(status: 400, reason: "Bad Request", text: "bad chunk in the request's body")
  static let trace = LocalAnswer(status: 405, reason: "Method Not Allowed", text: "TRACE is not passed on")

  static func fault(_ fault: HeadFault) -> LocalAnswer {
    switch fault {
    case .malformed(let reason): LocalAnswer(status: 400, reason: "Bad Request", text: reason.rawValue)
    case .targetTooLong: LocalAnswer(status: 414, reason: "URI Too Long", text: "the request target is too long")
    case .tooManyOptions:
      LocalAnswer(status: 431, reason: "Request Header Fields Too Large", text: "Connection names too many options")
    case .tooBig: LocalAnswer(status: 431, reason: "Request Header Fields Too Large", text: "the request's head is too big")
    case .notImplemented: LocalAnswer(status: 501, reason: "Not Implemented", text: "this method or transfer coding is not supported")
    case .version: LocalAnswer(status: 505, reason: "HTTP Version Not Supported", text: "HTTP/1.0 and HTTP/1.1 are spoken here")
    }
  }

  /// Writes head and body. `headOnly`: the request was HEAD.
  func write(into buffer: inout ByteBuffer, keepAlive: Bool, minor: Int, headOnly: Bool) {
    let body = "{\"\(status == 200 ? "status" : "error")\":\"\(text)\"}\n"
    buffer.writeString("HTTP/1.1 \(status) ")
    buffer.writeStaticString(reason)
    buffer.writeString("\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n")
    if let retryAfter { buffer.writeString("Retry-After: \(retryAfter)\r\n") }
    if !keepAlive {
      buffer.writeStaticString("Connection: close\r\n")
    } else if minor == 0 {
      buffer.writeStaticString("Connection: keep-alive\r\n")
    }
    buffer.writeStaticString("\r\n")
    if !headOnly { buffer.writeString(body) }
  }
}
