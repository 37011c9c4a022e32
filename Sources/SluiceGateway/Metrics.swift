import SluiceModel

/// The counts as Prometheus reads them (text exposition format 0.0.4).
enum Metrics {
  /// What there is to tell of the gateway itself.
  struct Gateway {
    var connections = 0
    var refusedConnections = 0
    /// Listeners of others on the gateway's ports.
    var strangers = 0
  }

  static func text(_ tallies: [(ServiceName, ServiceTally)], _ gateway: Gateway) -> String {
    var text = "# TYPE sluice_gateway_connections gauge\nsluice_gateway_connections \(gateway.connections)\n"
    text += "# TYPE sluice_gateway_connections_refused_total counter\n"
    text += "sluice_gateway_connections_refused_total \(gateway.refusedConnections)\n"
    text += "# TYPE sluice_gateway_port_strangers gauge\nsluice_gateway_port_strangers \(gateway.strangers)\n"
    func series(_ name: String, _ kind: String, _ value: (LoopCounts) -> Int) {
      text += "# TYPE \(name) \(kind)\n"
      for (service, tally) in tallies { text += "\(name){service=\"\(service)\"} \(value(tally.total))\n" }
    }
    series("sluice_requests_admitted_total", "counter") { $0.admitted }
    series("sluice_requests_completed_total", "counter") { $0.completed }
    series("sluice_requests_failed_total", "counter") { $0.failed }
    series("sluice_requests_cut_off_total", "counter") { $0.cutOff }
    series("sluice_requests_gone_total", "counter") { $0.gone }
    series("sluice_requests_refused_total", "counter") { $0.refused }
    series("sluice_requests_unserved_total", "counter") { $0.unserved }
    series("sluice_requests_abandoned_total", "counter") { $0.abandoned }
    series("sluice_requests_retried_total", "counter") { $0.retried }
    series("sluice_requests_in_flight", "gauge") { $0.inFlight }
    series("sluice_tunnels", "gauge") { $0.longLived }
    text += "# TYPE sluice_requests_waiting gauge\n"
    for (service, tally) in tallies { text += "sluice_requests_waiting{service=\"\(service)\"} \(tally.waiting)\n" }
    text += "# TYPE sluice_gateway_answers_total counter\n"
    for (service, tally) in tallies {
      for (kind, count) in tally.total.faults.all {
        text += "sluice_gateway_answers_total{service=\"\(service)\",kind=\"\(kind.rawValue)\",outcome=\"\(kind.outcome)\"} \(count)\n"
      }
    }
    return text + targets(tallies) + splits(tallies)
  }

  private static func targets(_ tallies: [(ServiceName, ServiceTally)]) -> String {
    var text = ""
    func series(_ name: String, _ kind: String, _ value: (LoopCounts) -> Int) {
      text += "# TYPE \(name) \(kind)\n"
      for (service, tally) in tallies {
        for target in tally.targets { text += "\(name){\(labels(service, target))} \(value(target.counts))\n" }
      }
    }
    series("sluice_target_requests_admitted_total", "counter") { $0.admitted }
    series("sluice_target_requests_completed_total", "counter") { $0.completed }
    series("sluice_target_requests_failed_total", "counter") { $0.failed }
    series("sluice_target_requests_cut_off_total", "counter") { $0.cutOff }
    series("sluice_target_requests_in_flight", "gauge") { $0.inFlight }
    series("sluice_target_tunnels", "gauge") { $0.longLived }
    text += "# TYPE sluice_target_answers_total counter\n"
    for (service, tally) in tallies {
      for target in tally.targets {
        let classes = target.counts.classes
        for (digit, count) in [(1, classes.0), (2, classes.1), (3, classes.2), (4, classes.3), (5, classes.4)] where count > 0 {
          text += "sluice_target_answers_total{\(labels(service, target)),class=\"\(digit)xx\"} \(count)\n"
        }
      }
    }
    text += "# TYPE sluice_target_faults_total counter\n"
    for (service, tally) in tallies {
      for target in tally.targets {
        for (kind, count) in target.counts.faults.all {
          text += "sluice_target_faults_total{\(labels(service, target)),kind=\"\(kind.rawValue)\"} \(count)\n"
        }
      }
    }
    return text
  }

  private static func labels(_ service: ServiceName, _ target: ServiceTally.TargetTally) -> String {
    "service=\"\(service)\",release=\"\(target.release.number)\",instance=\"\(target.instance.number)\",target=\"\(target.authority)\""
  }
}
