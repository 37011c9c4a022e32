import NIOCore
import NIOHTTP1
import Synchronization

/// What every connection shares: who the sample is, what it counts and what it was told to do wrong.
final class Sample: Sendable {
  let version: String
  let host: String
  let instance: String?
  let counters = Counters()
  let health: Health
  let healthPath: String
  let accessLog: Bool
  /// Hundredths of a per cent of requests answered with 500.
  let errorShare: Int
  let delay: TimeAmount
  private let drawn = Atomic<Int>(0)

  init(_ options: Options) {
    version = options.version
    host = options.host
    instance = options.instance
    accessLog = options.accessLog
    errorShare = options.faults.errorShare
    delay = TimeAmount(options.faults.delay)
    health = Health(good: !options.faults.failHealth)
    healthPath = options.healthPath
  }

  /// The headers that every response carries.
  func headers() -> HTTPHeaders {
    var headers = HTTPHeaders()
    headers.reserveCapacity(6)
    headers.add(name: "X-Sample-Version", value: version)
    headers.add(name: "X-Sample-Host", value: host)
    if let instance { headers.add(name: "X-Sample-Instance", value: instance) }
    return headers
  }

  /// Whether this request is one of those that shall fail: evenly spread, not drawn by chance, so that a short test sees its share too.
  func nextFails() -> Bool {
    guard errorShare > 0 else { return false }
    let number = drawn.add(1, ordering: .relaxed).newValue
    return number * errorShare / 10_000 != (number - 1) * errorShare / 10_000
  }
}
