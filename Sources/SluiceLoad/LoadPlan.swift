package import NIOCore

/// What to send, to whom, how fast and how long. Everything that is drawn is drawn from `seed`, per client.
package struct LoadPlan: Sendable {
  /// A place to send to.
  package struct Target: Sendable, Equatable {
    package var host: String
    package var port: Int
    package init(host: String, port: Int) {
      self.host = host
      self.port = port
    }

    /// `host:port`, IPv6 in brackets.
    package var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// Gateways, taken in turn by each client, which keeps a connection to each.
  package var targets: [Target]
  /// The `Host` to ask for; nil: the target's own.
  package var hostHeader: String?
  package var clients = 200
  /// So many of the clients send only what takes long (slow, stream, upload, ws), and the others only get and post; 0: all send of everything.
  package var longClients = 0
  /// Requests out of 10 000 that are sent on a new connection.
  package var newConnectionShare = 1000
  /// Requests a second in all; 0: as fast as answers come.
  package var rate = 0
  /// Ends after so long, or after so many requests, or when the file is there, whichever comes first; then waits for what is on the way.
  package var duration: TimeAmount = .seconds(30)
  package var requests: Int?
  package var untilFile: String?
  package var mix = Mix.standard
  package var slow: TimeAmount = .seconds(3)
  package var streamChunks = 20
  package var streamEvery: TimeAmount = .milliseconds(100)
  package var postBytes = 512
  package var uploadBytes = 65_536
  package var uploadPieces = 8
  package var uploadEvery: TimeAmount = .milliseconds(50)
  package var frames = 10
  package var framesEvery: TimeAmount = .milliseconds(200)
  /// How many user ids there are; each belongs to one client, and a client takes its users in turn.
  package var users = 1000
  package var cookie = "uid"
  package var seed: UInt64 = 1
  package var connectTimeout: TimeAmount = .seconds(5)
  /// How long an answer may take beyond what the request itself asks for.
  package var timeout: TimeAmount = .seconds(30)
  /// Answers without `X-Sample-Version` count as the service's own: for other services than the sample.
  package var acceptsAnyRelease = false
  package var loops = 2
  /// A file for one line per request.
  package var record: String?

  package init(targets: [Target]) { self.targets = targets }

  /// A plan that cannot be carried out.
  package struct Invalid: Error, CustomStringConvertible {
    package var description: String
  }

  /// Throws where a number has no meaning.
  package func validate() throws(Invalid) {
    func check(_ holds: Bool, _ reason: String) throws(Invalid) { if !holds { throw Invalid(description: reason) } }
    try check(!targets.isEmpty, "at least one target is needed")
    try check((1...100_000).contains(clients), "clients: 1 to 100000")
    try check((0...clients).contains(longClients), "long-clients: 0 to the number of clients")
    if longClients > 0 {
      try check(
        mix.part(long: true) != nil && (longClients == clients || mix.part(long: false) != nil),
        "long-clients: the mix lacks what they, or the others, send")
    }
    try check((0...10_000).contains(newConnectionShare), "new-connections-share: 0% to 100%")
    try check(rate >= 0, "rate: 0 (no cap) or more")
    try check(duration > .zero && duration <= .hours(24), "duration: more than 0, at most 24h")
    try check(requests.map { $0 > 0 } ?? true, "requests: 1 or more")
    try check((1...10_000_000).contains(users), "users: 1 to 10000000")
    try check((1...64).contains(loops), "loops: 1 to 64")
    try check((8...(1 << 20)).contains(postBytes), "post-bytes: 8 to 1048576")
    try check(
      (1...1000).contains(uploadPieces) && uploadBytes >= uploadPieces && uploadBytes <= 1 << 30, "upload-bytes: one per piece to 1 GiB")
    try check((1...100_000).contains(frames) && (0...100_000).contains(streamChunks), "ws-frames: 1 to 100000; stream-chunks: 0 to 100000")
    try check(timeout > .zero && connectTimeout > .zero, "timeouts: more than 0")
    for pace in [slow, streamEvery, uploadEvery, framesEvery] {
      try check(pace >= .zero && pace <= .minutes(10), "slow, stream, upload and frame times: 0 to 10m")
    }
    for text in [hostHeader ?? "", cookie] {
      try check(!text.utf8.contains { $0 <= 0x20 || $0 == 0x7f }, "'\(text)' cannot stand in a header")
    }
  }

  /// How long a request of this kind may take in all.
  package func limit(_ kind: RequestKind) -> TimeAmount {
    switch kind {
    case .get, .post: timeout
    case .slow: timeout + slow
    case .stream: timeout + streamEvery * streamChunks
    case .upload: timeout + uploadEvery * uploadPieces
    case .ws: timeout + framesEvery * frames
    }
  }
}

/// The shares of the kinds of requests, as weights.
package struct Mix: Sendable, Equatable {
  private let kinds: [RequestKind]
  /// Running sums of the weights.
  private let sums: [Int]

  package static let standard = Mix([(.get, 70), (.post, 10), (.slow, 5), (.stream, 5), (.upload, 5), (.ws, 5)])

  private init(_ weights: [(RequestKind, Int)]) {
    kinds = weights.map(\.0)
    var sum = 0
    sums = weights.map { weight in
      sum += weight.1
      return sum
    }
  }

  /// Reads `get=70,post=10`; what is not named is not sent. Weights are whole numbers up to a million, not all of them zero.
  package init?(_ text: String) {
    var weights: [(RequestKind, Int)] = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = item.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, let kind = RequestKind(rawValue: String(parts[0])), let weight = Int(parts[1]),
        (0...1_000_000).contains(weight),
        !weights.contains(where: { $0.0 == kind })
      else { return nil }
      weights.append((kind, weight))
    }
    guard weights.contains(where: { $0.1 > 0 }) else { return nil }
    self.init(weights)
  }

  /// Only the kinds that take long, or only the others; nil when none of them has a weight.
  package func part(long: Bool) -> Mix? {
    var weights: [(RequestKind, Int)] = []
    for (index, kind) in kinds.enumerated() where (kind != .get && kind != .post) == long {
      weights.append((kind, sums[index] - (index == 0 ? 0 : sums[index - 1])))
    }
    return weights.contains { $0.1 > 0 } ? Mix(weights) : nil
  }

  /// The kind at a place drawn from the whole.
  package func pick(_ random: inout Random) -> RequestKind {
    let place = random.below(sums[sums.count - 1])
    for (index, sum) in sums.enumerated() where place < sum { return kinds[index] }
    return kinds[kinds.count - 1]
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
package struct Random: Sendable {
  private var state: UInt64
  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// 0 up to `limit`, which it never reaches.
  package mutating func below(_ limit: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(limit)).high) }
}
