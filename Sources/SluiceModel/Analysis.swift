/// By what a canary is judged (DESIGN section 4). What is nil is not asked.
package struct Analysis: Hashable, Codable, Sendable {
  /// Requests that the canary must have answered before a verdict can be a pass.
  package var minRequests: Int
  /// The canary's share of failed requests must not exceed it.
  package var maxErrorRate: BasisPoints?
  package var versusStable: ErrorComparison?
  package var p99: LatencyLimit?
  /// Requests of one user within this time count once, and so do its errors, also when they go on from one such window into the next: heavy
  /// users and retry storms are not independent. Zero: each counts.
  package var userWindow: Milliseconds
  package var checks: [AnalysisCheck]

  package init(
    minRequests: Int = 200, maxErrorRate: BasisPoints? = nil, versusStable: ErrorComparison? = nil, p99: LatencyLimit? = nil,
    userWindow: Milliseconds = .seconds(1), checks: [AnalysisCheck] = []
  ) {
    self.minRequests = minRequests
    self.maxErrorRate = maxErrorRate
    self.versusStable = versusStable
    self.p99 = p99
    self.userWindow = userWindow
    self.checks = checks
  }

  /// The canary's error rate against the stable release's.
  package struct ErrorComparison: Hashable, Codable, Sendable {
    /// The odds of an error in the canary may be so many times the stable release's; 1: no worse.
    package var errorRatio: Double
    /// One minus the probability that a canary which is no worse is aborted, over all looks together: 9 900 is α = 1 %.
    package var confidence: BasisPoints

    package init(errorRatio: Double = 1.5, confidence: BasisPoints = BasisPoints(9_900)) {
      self.errorRatio = errorRatio
      self.confidence = confidence
    }
  }

  /// A bound on the 99th percentile of the time to a response's head.
  package struct LatencyLimit: Hashable, Codable, Sendable {
    package var max: Milliseconds?
    /// So many times the stable release's.
    package var versusStable: Double?
    /// And above it by so much at least: a release that answers in 2 ms where the other took 1 ms is not slow. Nil: any difference counts.
    package var leastDifference: Milliseconds?

    package init(max: Milliseconds? = nil, versusStable: Double? = nil, leastDifference: Milliseconds? = nil) {
      self.max = max
      self.versusStable = versusStable
      self.leastDifference = leastDifference
    }
  }
}

/// A question that is asked again and again while a step lasts.
package struct AnalysisCheck: Hashable, Codable, Sendable {
  package var name: String
  package var kind: Kind
  package var interval: Milliseconds
  package var timeout: Milliseconds
  /// How often it must have passed.
  package var count: Int
  /// How often it may fail.
  package var failureLimit: Int

  package init(
    name: String, kind: Kind, interval: Milliseconds = .seconds(10), timeout: Milliseconds = .seconds(10), count: Int = 1,
    failureLimit: Int = 0
  ) {
    self.name = name
    self.kind = kind
    self.interval = interval
    self.timeout = timeout
    self.count = count
    self.failureLimit = failureLimit
  }

  /// With a command's folder in the place of the one it has.
  package func anchored(_ folder: String) -> AnalysisCheck {
    guard case .command(let words, _) = kind else { return self }
    var check = self
    check.kind = .command(words, directory: folder)
    return check
  }

  package enum Kind: Hashable, Codable, Sendable {
    /// Run on the controller; passes when it exits with 0.
    case command([String], directory: String)
    /// Passes when the answer's status is 2xx and, where a path into its JSON is given, the value there is as asked.
    case http(url: String, json: String?, equals: String?)
    /// Another machine's: all that is known here is its hash.
    case elsewhere(Digest)
  }
}
