import Glibc
import SluiceRollout

/// Requests of users with sticky sides: a few are heavy (Pareto rates), a failure makes the client ask again and fail again within moments (a
/// retry storm), and some users may be broken for good. Both sides err alike.
struct UserTraffic {
  /// How many users there are; each is of the canary with probability `share`.
  var users = 2_000
  var share = 0.1
  /// The Pareto distribution's shape; the smaller, the heavier the heaviest user (1.2: the first hundredth makes about half of the requests).
  var shape = 1.2
  /// Requests of all users per second, retries aside, and how long a run lasts.
  var rate = 200.0
  var seconds = 50.0
  /// The probability that a request fails by itself.
  var failure = 0.004
  /// Mean number of retries that fail after a failure, and the mean time to each.
  var retries = 6.0
  var retryAfter = 0.03
  /// The share of users whose requests all fail, without retries.
  var broken = 0.0
  /// The user's window in seconds, as `Analysis.userWindow`; 0: each request counts.
  var window = 0.0
  /// Windows of a user that fail one after the other count as one failure: a storm that goes over the edge of a window is no second one.
  var joinsRuns = false

  private struct Event {
    let time: Double
    let user: Int
    let hasFailed: Bool
  }

  /// Simulates one run; `show` gets the exposures of each request (one or none, failed or not) and whether they are the canary's, and says whether
  /// to go on.
  func run(_ random: inout SplitMix64, _ show: (Tally, Bool) -> Bool) {
    let isCanary = (0..<users).map { _ in random.chance(share) }
    let events = events(&random)
    var seen = [Window](repeating: Window(), count: window > 0 ? users : 0)
    for event in events {
      let exposure =
        window > 0
        ? seen[event.user].exposure(at: Int(event.time / window), hasFailed: event.hasFailed, joinsRuns)
        : Tally(event.hasFailed ? 1 : 0, of: 1)
      if exposure.count + exposure.hits > 0, !show(exposure, isCanary[event.user]) { return }
    }
  }

  /// All requests of one run in order of time.
  private func events(_ random: inout SplitMix64) -> [Event] {
    var sums: [Double] = []
    var whole = 0.0
    for _ in 0..<users {
      // The heaviest that one user can be is a thousand times the lightest.
      whole += min(pow(1 - random.uniform(), -1 / shape), 1_000)
      sums.append(whole)
    }
    let isBroken = (0..<users).map { _ in broken > 0 && random.chance(broken) }
    var events: [Event] = []
    var now = random.exponential(mean: 1 / rate)
    while now < seconds {
      let user = Self.place(of: random.uniform() * whole, in: sums)
      let hasFailed = isBroken[user] || random.chance(failure)
      events.append(Event(time: now, user: user, hasFailed: hasFailed))
      if hasFailed, !isBroken[user] {
        var retry = now
        while random.chance(retries / (retries + 1)) {
          retry += random.exponential(mean: retryAfter)
          events.append(Event(time: retry, user: user, hasFailed: true))
        }
      }
      now += random.exponential(mean: 1 / rate)
    }
    return events.sorted { $0.time < $1.time }
  }

  /// The first sum that is greater.
  private static func place(of value: Double, in sums: [Double]) -> Int {
    var range = 0..<sums.count - 1
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      range = sums[middle] > value ? range.lowerBound..<middle : middle + 1..<range.upperBound
    }
    return range.lowerBound
  }

  /// What the gateway keeps of a user: the window it was last seen in, and whether it failed there.
  private struct Window {
    var number = -1
    var hasFailed = false
    /// It failed in the window before as well, and that counted for both.
    var isCounted = false

    /// What a request adds to exposures and failed exposures.
    mutating func exposure(at now: Int, hasFailed: Bool, _ joinsRuns: Bool) -> Tally {
      let isNew = now != number
      if isNew {
        isCounted = joinsRuns && self.hasFailed && now == number + 1
        number = now
        self.hasFailed = false
      }
      let isFirstFailure = hasFailed && !self.hasFailed
      if hasFailed { self.hasFailed = true }
      return Tally(isFirstFailure && !isCounted ? 1 : 0, of: isNew ? 1 : 0)
    }
  }
}
