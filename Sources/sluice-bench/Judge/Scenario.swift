import SluiceRollout

/// What a canary's requests look like: one part of the run after the other, each with its own split and error rates.
struct Scenario {
  struct Part {
    var requests: Int
    /// The canary's share of requests.
    var share: Double
    var stableRate: Double
    var canaryRate: Double
  }

  var parts: [Part]

  init(_ parts: [Part]) { self.parts = parts }

  /// One part in which the canary errs `ratio` times as often.
  init(requests: Int, share: Double, rate: Double, ratio: Double = 1) {
    parts = [Part(requests: requests, share: share, stableRate: rate, canaryRate: rate * ratio)]
  }
}

/// When one judge aborted one run: after how many requests, and failed ones, of both sides. nil: never.
struct AbortTime {
  var requests: Int?
  var failures: Int?
}

/// Runs of one scenario, each shown to all judges request by request.
struct AbortTrial {
  let names: [String]
  /// By judge, then by run.
  private(set) var times: [[AbortTime]]

  /// Requests that are independent of each other.
  init(_ scenario: Scenario, runs: Int, random: inout SplitMix64, judges make: () -> [any AbortJudge]) {
    names = make().map(\.name)
    times = names.map { _ in [] }
    for _ in 0..<runs {
      var run = JudgedRun(make())
      for (number, part) in scenario.parts.enumerated() {
        if number > 0 { run.beginStep() }
        for _ in 0..<part.requests where !run.isOver {
          let isCanary = random.chance(part.share)
          let hasFailed = random.chance(isCanary ? part.canaryRate : part.stableRate)
          run.show(Tally(hasFailed ? 1 : 0, of: 1), isCanary: isCanary)
        }
      }
      add(run.times)
    }
  }

  /// Requests of users who come back.
  init(_ users: UserTraffic, runs: Int, random: inout SplitMix64, judges make: () -> [any AbortJudge]) {
    names = make().map(\.name)
    times = names.map { _ in [] }
    for _ in 0..<runs {
      var run = JudgedRun(make())
      users.run(&random) { seen, isCanary in
        run.show(seen, isCanary: isCanary)
        return !run.isOver
      }
      add(run.times)
    }
  }

  private mutating func add(_ run: [AbortTime]) { for place in run.indices { times[place].append(run[place]) } }

  /// How many runs a judge aborted.
  func aborts(_ judge: Int) -> CountedShare {
    CountedShare(hits: times[judge].count { $0.requests != nil }, runs: times[judge].count)
  }
}

/// One run before several judges; each is heard until it aborts.
private struct JudgedRun {
  private var judges: [any AbortJudge]
  private(set) var times: [AbortTime]
  private var requests = 0
  private var failures = 0
  private var left: Int

  init(_ judges: [any AbortJudge]) {
    self.judges = judges
    times = judges.map { _ in AbortTime() }
    left = judges.count
  }

  /// Every judge has aborted.
  var isOver: Bool { left == 0 }

  mutating func show(_ seen: Tally, isCanary: Bool) {
    requests += seen.count
    failures += seen.hits
    let none = Tally(0, of: 0)
    for place in judges.indices where times[place].requests == nil {
      guard judges[place].look(canary: isCanary ? seen : none, stable: isCanary ? none : seen) else { continue }
      times[place] = AbortTime(requests: requests, failures: failures)
      left -= 1
    }
  }

  mutating func beginStep() {
    for place in judges.indices { judges[place].beginStep() }
  }
}
