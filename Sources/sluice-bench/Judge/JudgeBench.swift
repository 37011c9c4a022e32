import ArgumentParser
import Glibc
import SluiceModel

/// `sluice-bench judge`: how soon the analysis of canaries is sure, and how often it is wrong, beside other judges. All figures are computed in the
/// run, from the seed that it prints; it fails when one is not as required, as far as there were runs enough to tell.
struct JudgeBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "judge", abstract: "Measure the canary analysis on simulated traffic, beside other judges.")

  /// The probability of a false abort that the judges are asked for.
  static let alpha = 0.01

  @Option(help: "The seed of all random numbers.")
  var seed: UInt64 = 1

  @Option(help: "How many runs of each scenario; from 2000 on their figures are held against what is required.")
  var runs = Requirements.leastRuns

  func validate() throws {
    if !(100...1_000_000).contains(runs) { throw ValidationError("--runs is 100 to 1000000") }
  }

  func run() throws {
    print("sluice-bench judge --seed \(seed) --runs \(runs); α = 1 %; intervals hold with 95 %")
    print(
      """
      z-test: two proportions, one-sided, at each request from the tenth failure on
      rate: a fixed threshold, at each request from the canary's 200th on
      Mann-Whitney: in the manner of Kayenta, after each 1 000 requests from 5 000 on
      beta mixture: the closed form, told the true share of the canary
      """)
    var requirements = Requirements(runs: runs)
    var stream: UInt64 = 0
    func random() -> SplitMix64 {
      stream += 1
      return SplitMix64(seed: seed, stream: stream)
    }
    try worseCanaries(random, &requirements)
    try healthyCanaries(random, &requirements)
    try realUsers(random, &requirements)
    try passes(random)
    print("")
    requirements.lines.forEach { print($0) }
    try LostOutput.check()
    if !requirements.areMet { throw ExitCode(1) }
  }

  /// The judges that are told nothing but what ends.
  private func judges() -> [any AbortJudge] {
    [
      EvidenceJudge(ratio: 1, alpha: Self.alpha), EvidenceJudge(ratio: 1.5, alpha: Self.alpha), RepeatedTest(alpha: Self.alpha),
      FixedThreshold(), RankJudge(),
    ]
  }

  /// And those that are told the share too, which does not move.
  private func judges(share: Double) -> [any AbortJudge] {
    let known = [1, 1.5].map { KnownShareJudge(ratio: $0, share: share, alpha: Self.alpha) as any AbortJudge }
    return judges() + known
  }

  private func worseCanaries(_ random: () -> SplitMix64, _ requirements: inout Requirements) throws {
    print("\nA canary with 5 times stable's error rate at 10 % of users, a look after every request:")
    print("failed requests of both sides until the abort")
    for (rate, name) in [(0.01, "1 %"), (0.001, "0.1 %")] {
      var generator = random()
      let scenario = Scenario(requests: Int(150 / rate), share: 0.1, rate: rate, ratio: 5)
      let trial = AbortTrial(scenario, runs: runs, random: &generator) { judges(share: 0.1) }
      var table = Table(["stable's rate \(name)", "median", "(interval)", "p90", "median requests", "aborted"])
      for (place, judge) in trial.names.enumerated() {
        let failures = Waits(trial.times[place].map(\.failures))
        let requests = Waits(trial.times[place].map(\.requests))
        table.add([
          judge, failures.text(0.5), failures.medianInterval, failures.text(0.9), requests.text(0.5), trial.aborts(place).text,
        ])
      }
      try show(table)
      for (place, bound) in [(0, 25), (1, 45)] {
        let median = Waits(trial.times[place].map(\.failures)).quantile(0.5)
        requirements.check(
          "\(trial.names[place]), stable's rate \(name): median \(median.map(String.init) ?? "never") failed requests, at most \(bound)",
          median.map { $0 <= bound } ?? false)
      }
    }
  }

  private func healthyCanaries(_ random: () -> SplitMix64, _ requirements: inout Requirements) throws {
    print("\nA healthy canary, a look after every request: false aborts")
    let scenarios: [(String, Scenario, Double?)] = [
      ("10 % of users, both 1 %", Scenario(requests: 20_000, share: 0.1, rate: 0.01), 0.1),
      ("10 % of users, both 0.1 %", Scenario(requests: 50_000, share: 0.1, rate: 0.001), 0.1),
      ("1 % → 10 % → 50 %, both 1 %", moving([0.01, 0.01, 0.01], 10_000), nil),
      ("1 % → 10 % → 50 %, both 0.1 %", moving([0.001, 0.001, 0.001], 20_000), nil),
      ("1 % → 10 % → 50 %, both 0.5 %, 1 %, 2 %", moving([0.005, 0.01, 0.02], 10_000), nil),
    ]
    for (name, scenario, share) in scenarios {
      var generator = random()
      let trial = AbortTrial(scenario, runs: runs, random: &generator) { share.map(judges) ?? judges() }
      try show(falseAborts(name, trial))
      require(trial, name, 0..<2, &requirements)
    }
  }

  /// The split moves in mid-run, in three equal parts with these error rates of both sides.
  private func moving(_ rates: [Double], _ requests: Int) -> Scenario {
    Scenario(
      zip([0.01, 0.1, 0.5], rates).map { share, rate in
        Scenario.Part(requests: requests, share: share, stableRate: rate, canaryRate: rate)
      })
  }

  private func realUsers(_ random: () -> SplitMix64, _ requirements: inout Requirements) throws {
    print("\nA healthy canary at 10 % of users who come back, a look after every request; a few users are heavy (Pareto),")
    print("and a failure brings 6 more (a storm, of 0.2 s where nothing else is said): false aborts")
    // With windows of fixed edges a storm may count twice. That is borne at the ratio that is the default; to bear it at ratio 1 as well,
    // windows that fail one after the other must count once.
    let scenarios: [(name: String, traffic: UserTraffic, required: Range<Int>)] = [
      ("heavy users, no storms, each request counts", UserTraffic(failure: 0.01, retries: 0), 0..<2),
      ("storms, each request counts", UserTraffic(), 0..<0),
      ("storms, userWindow 1s", UserTraffic(window: 1), 1..<2),
      ("storms, userWindow 1s, runs of failing windows count once", UserTraffic(window: 1, joinsRuns: true), 0..<2),
      ("storms, userWindow 10s", UserTraffic(window: 10), 0..<2),
      ("storms of 6 s, userWindow 1s", UserTraffic(retryAfter: 1, window: 1), 0..<0),
      ("storms of 6 s, userWindow 1s, runs count once", UserTraffic(retryAfter: 1, window: 1, joinsRuns: true), 0..<0),
      ("storms of 6 s, userWindow 30s, runs count once", UserTraffic(retryAfter: 1, window: 30, joinsRuns: true), 0..<2),
      ("1 user in 300 always fails, userWindow 1s", UserTraffic(failure: 0.001, broken: 1.0 / 300, window: 1), 0..<0),
      ("1 user in 300 always fails, userWindow 1h", UserTraffic(failure: 0.001, broken: 1.0 / 300, window: 3600), 0..<2),
    ]
    for scenario in scenarios {
      var generator = random()
      let trial = AbortTrial(scenario.traffic, runs: runs, random: &generator) { judges() }
      try show(falseAborts(scenario.name, trial))
      require(trial, scenario.name, scenario.required, &requirements)
    }
  }

  private func falseAborts(_ name: String, _ trial: AbortTrial) -> Table {
    var table = Table([name, "false aborts (interval)"])
    for (place, judge) in trial.names.enumerated() { table.add([judge, trial.aborts(place).text]) }
    return table
  }

  /// Sluice's own judges, the first at ratio 1, the second at 1.5, abort no more than α of the runs, as far as so many runs can tell.
  private func require(_ trial: AbortTrial, _ name: String, _ judges: Range<Int>, _ requirements: inout Requirements) {
    for place in judges {
      let aborts = trial.aborts(place)
      requirements.check(
        "\(trial.names[place]), \(name): false aborts \(aborts.text), at most 1 %",
        aborts.interval.lowerBound <= Self.alpha)
    }
  }

  private func passes(_ random: () -> SplitMix64) throws {
    print("\nRequests of the canary until its pass, errorRatio 1.5, confidence 99 %, a look after every 20 of them;")
    print("\(runs / 10) runs each, which end at \(PassTrial.horizon)")
    let rates = [(0, 0), (0.0001, 0.0001), (0.001, 0.001), (0.01, 0.01), (0.05, 0.05), (0.0001, 0.01), (0.001, 0.01), (0.01, 0.05)]
    for minRequests in [200, 1000] {
      let analysis = Analysis(minRequests: minRequests, versusStable: Analysis.ErrorComparison(errorRatio: 1.5), userWindow: .zero)
      var table = Table(["minRequests \(minRequests): stable's rate", "canary's", "users", "median", "p90", "passed", "aborted"])
      for (stable, canary) in rates {
        for share in [0.01, 0.1] {
          var generator = random()
          let count = runs / 10
          let trial = PassTrial(
            share: share, stableRate: stable, canaryRate: canary, analysis: analysis, runs: count, random: &generator)
          let waits = Waits(trial.passes)
          table.add([
            "\(stable * 100) %", "\(canary * 100) %", "\(Int(share * 100)) %", waits.text(0.5), waits.text(0.9),
            CountedShare(hits: trial.passes.count { $0 != nil }, runs: count).text, CountedShare(hits: trial.aborts, runs: count).text,
          ])
        }
      }
      try show(table)
    }
  }

  private func show(_ table: Table) throws {
    print("")
    table.lines.forEach { print($0) }
    try LostOutput.check()
  }
}

/// What the run must show.
struct Requirements {
  /// In fewer, a figure may miss its bound by chance.
  static let leastRuns = 2000

  private(set) var lines: [String]
  private(set) var areMet = true
  private let areJudged: Bool

  init(runs: Int) {
    areJudged = runs >= Self.leastRuns
    lines = areJudged ? [] : ["NOT JUDGED: \(runs) runs are too few to hold these against, \(Self.leastRuns) are needed"]
  }

  mutating func check(_ text: String, _ isMet: Bool) {
    guard areJudged else { return lines.append("        " + text) }
    lines.append((isMet ? "ok      " : "MISSED  ") + text)
    if !isMet { areMet = false }
  }
}
