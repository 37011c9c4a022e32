import ArgumentParser
import Glibc
import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice-bench plan`: what it costs to plan every service of a fleet from release 1 to release 2, each on the whole fleet as it stands, to the last
/// wave. It is what `sluice plan` does with the records and manifests that it has read, up to the text that it prints; it fails where DESIGN
/// section 9 is not met.
struct PlanBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Measure plans of whole fleets: 100 instances a service, ten hosts a service, surge 25 %.")

  struct Unfit: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  @Option(help: "How many hosts, one figure a fleet; each fleet is measured after the smaller ones.")
  var hosts = [100, 1_000, 10_000]

  @Option(help: "How often each fleet is planned; the median counts.")
  var rounds = 3

  @Option(help: "The most time for the last fleet, in milliseconds.")
  var limit = 1_000.0

  func validate() throws {
    if hosts.isEmpty || hosts.contains(where: { !PlanFleet.sizes.contains($0) || $0 % 100 != 0 }) {
      throw ValidationError("--hosts are hundreds, \(PlanFleet.sizes.upperBound) at most")
    }
    if !(1...1_000).contains(rounds) { throw ValidationError("--rounds is 1 to 1000") }
    if !limit.isFinite || limit <= 0 { throw ValidationError("--limit is a number of milliseconds above 0") }
  }

  func run() async throws {
    var table = Table(["hosts", "services", "instances", "waves", "actions", "lines", "median ms", "least ms", "µs/instance", "peak MB"])
    var last = (milliseconds: 0.0, megabytes: 0.0)
    for count in hosts.sorted() {
      let fleet = try PlanFleet(hosts: count)
      var times: [Double] = []
      var totals = (waves: 0, actions: 0, lines: 0)
      for _ in 0..<rounds {
        let start = ContinuousClock.now
        let plans = try await Rehearsal.run(
          fleet.services.map { (Rehearsal(engine: fleet.engine, service: $0), PlanFleet.release(2, of: $0)) }
        ).map { try $0.get() }
        let lines = plans.reduce(0) { $0 + PlanText($1).lines.count }
        times.append(Double((ContinuousClock.now - start) / .microseconds(1)) / 1_000)
        if let bad = plans.first(where: { $0.end != .succeeded || $0.obstacle != nil }) {
          throw Unfit("the plan of \(bad.service) has no end")
        }
        totals = (plans.reduce(0) { $0 + $1.waves.count }, plans.reduce(0) { $0 + $1.actions.count }, lines)
      }
      times.sort()
      last = (times[times.count / 2], Self.peakMegabytes())
      let instances = fleet.services.count * PlanFleet.replicas
      table.add([
        "\(count)", "\(fleet.services.count)", "\(instances)", "\(totals.waves)", "\(totals.actions)", "\(totals.lines)",
        Self.text(last.milliseconds),
        Self.text(times[0]), Self.text(last.milliseconds * 1_000 / Double(instances)), Self.text(last.megabytes),
      ])
    }
    table.lines.forEach { print($0) }
    let isMet = last.milliseconds < limit && last.megabytes < 500
    print("\(isMet ? "met" : "NOT MET"): \(Self.text(last.milliseconds)) ms of \(Self.text(limit)), \(Self.text(last.megabytes)) MB of 500")
    try LostOutput.check()
    if !isMet { throw ExitCode(1) }
  }

  private static func text(_ value: Double) -> String { value < 10 ? "\((value * 100).rounded() / 100)" : "\(Int(value.rounded()))" }

  /// The most memory this process has had so far.
  private static func peakMegabytes() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    return Double(usage.ru_maxrss) / 1_024
  }
}
