/// What a run found, as `sluice-load --output json` prints it. Names are stable; times are wall clock in milliseconds since 1970, spans in milliseconds.
package struct Summary: Codable, Sendable {
  /// What one release answered.
  package struct Release: Codable, Sendable {
    package var answered = 0
    /// Its own answers of 500 and above, contained in `answered`.
    package var errors = 0
    /// When its first and last answers were complete.
    package var firstMilliseconds: Int64 = 0
    package var lastMilliseconds: Int64 = 0
    /// Answers by host, and by instance where it names itself.
    package var hosts: [String: Int] = [:]
    package var instances: [String: Int] = [:]
  }

  /// What became of the requests of one kind.
  package struct Kind: Codable, Sendable {
    package var requests = 0
    package var answered = 0
    package var lost = 0
    package var latency = Latency()
  }

  /// From the first byte written (a new connection included) to the last byte read, of answered requests.
  package struct Latency: Codable, Sendable {
    package var p50Milliseconds = 0.0
    package var p99Milliseconds = 0.0
    package var maxMilliseconds = 0.0
  }

  /// One of the first losses.
  package struct Loss: Codable, Sendable, Equatable {
    package var atMilliseconds: Int64
    package var afterMilliseconds: Int64
    package var kind: String
    package var fate: String
    package var status: Int
    package var target: String
    package var user: String
    /// It was sent on a connection that had carried a request before.
    package var reused: Bool
    package var release: String?
    package var host: String?
    package var detail: String?
  }

  package var targets: [String] = []
  package var startedMilliseconds: Int64 = 0
  package var endedMilliseconds: Int64 = 0
  package var seconds = 0.0
  package var requests = 0
  package var requestsPerSecond = 0.0
  package var lost = 0
  /// Every fate, zero or not; they add up to `requests`.
  package var fates: [String: Int] = [:]
  package var statuses: [String: Int] = [:]
  package var releases: [String: Release] = [:]
  package var kinds: [String: Kind] = [:]
  /// Over get and post, which ask for nothing slow.
  package var latency = Latency()
  /// The longest time in which no request at all was answered, from the start to the last request's start.
  package var maxGapMilliseconds = 0.0
  package var connectionsOpened = 0
  /// How often this machine had no local port or descriptor for a connection, which was then made later: the generator's limit, not the service's.
  package var localShortages = 0
  /// At most 20, the earliest.
  package var losses: [Loss] = []
}

extension Summary.Latency {
  init(_ times: Histogram) {
    p50Milliseconds = Double(times.quantile(0.5)) / 1000
    p99Milliseconds = Double(times.quantile(0.99)) / 1000
    maxMilliseconds = Double(times.maximum) / 1000
  }
}
