import SluiceModel
import SluiceTraffic

extension Metrics {
  /// What the two sides of splits have met, over all generations: two series a service for each count, and no label that grows with rollouts.
  static func splits(_ tallies: [(ServiceName, ServiceTally)]) -> String {
    let sides = tallies.flatMap { service, tally in
      guard let all = tally.splits?.all else { return [] as [(labels: String, counts: SideCounts)] }
      return [
        ("service=\"\(service)\",side=\"canary\"", all.canary), ("service=\"\(service)\",side=\"stable\"", all.stable),
      ]
    }
    guard !sides.isEmpty else { return "" }
    var text = ""
    func series(_ name: String, _ value: (ReleaseTraffic) -> Int) {
      text += "# TYPE \(name) counter\n"
      for side in sides { text += "\(name){\(side.labels)} \(value(side.counts.traffic))\n" }
    }
    series("sluice_split_requests_total") { $0.requests }
    series("sluice_split_failures_total") { $0.failures }
    series("sluice_split_exposures_total") { $0.exposures }
    series("sluice_split_failed_exposures_total") { $0.failedExposures }
    series("sluice_split_spilled_total") { $0.spilled }
    text += "# TYPE sluice_split_head_seconds histogram\n"
    for side in sides { text += histogram(side.labels, side.counts) }
    return text
  }

  /// From 256 µs to 67 s, each bound four times the one before: bounds that the finer buckets have too.
  private static let bounds = (0..<10).map { 256 << (2 * $0) }

  private static func histogram(_ labels: String, _ counts: SideCounts) -> String {
    let latency = counts.traffic.latency
    let total = latency.total
    var text = ""
    for bound in bounds {
      let within = total - latency.slower(thanMicroseconds: bound - 1)
      text += "sluice_split_head_seconds_bucket{\(labels),le=\"\(seconds(bound))\"} \(within)\n"
    }
    text += "sluice_split_head_seconds_bucket{\(labels),le=\"+Inf\"} \(total)\n"
    text += "sluice_split_head_seconds_sum{\(labels)} \(seconds(counts.microseconds))\n"
    return text + "sluice_split_head_seconds_count{\(labels)} \(total)\n"
  }

  private static func seconds(_ microseconds: Int) -> String { "\(Double(microseconds) / 1_000_000)" }
}
