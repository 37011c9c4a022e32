import SluiceGatewayAPI
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceTraffic

/// Looks at the hosts of instances that gateways call unhealthy, or that no gateway knows of: whether their programs are up. It asks nobody to
/// do anything, and never for longer than it is told to.
struct InstanceSurvey {
  let workspace: Workspace

  /// What was seen of each service that has an instance which is down: its hosts' facts. A service of which nothing such was seen is not among
  /// them.
  func look(_ services: [ServiceNow], within limit: Duration = .seconds(2)) async -> [ServiceName: [HostFact]] {
    var questions: [(ServiceRecord, Host)] = []
    for now in services {
      let suspects = Set(now.record.instances.filter { Self.isSuspect($0, now) }.map(\.host)).sorted()
      questions += suspects.compactMap { workspace.fleet.host($0) }.map { (now.record, $0) }
    }
    if questions.isEmpty { return [:] }
    let asked = questions
    let answers = try? await HostReader.with(workspace) { hosts, _ in
      await withTaskGroup(of: (Int, HostFact?).self) { group in
        for (place, (record, host)) in asked.enumerated() {
          group.addTask {
            (place, await Bounded.run(limit) { await hosts.look(record.service, ports: record.policy.ports, on: host) } ?? nil)
          }
        }
        return await group.reduce(into: [Int: HostFact]()) { $0[$1.0] = $1.1 }
      }
    }
    var facts: [ServiceName: [HostFact]] = [:]
    for (place, (record, _)) in asked.enumerated() {
      guard let fact = answers?[place] else { continue }
      let here = record.instances.filter { $0.host == fact.host && $0.phase == .serving }
      if here.contains(where: { fact.downtime(of: $0.number) != nil }) { facts[record.service, default: []].append(fact) }
    }
    return facts
  }

  /// It is to serve, and no gateway says that it does.
  private static func isSuspect(_ instance: Instance, _ now: ServiceNow) -> Bool {
    guard now.record.rollout == nil, instance.phase == .serving, instance.condemned == nil else { return false }
    return now.record.gateways.isEmpty || now.hasVoice && now.word(instance) == "unhealthy"
  }
}

extension ServiceNow {
  /// What gateways said, as the brain takes it: only of the tables that the record knows, for what another controller has decided is not to be
  /// planned upon.
  var seen: [Input] {
    record.gateways.compactMap { gateway in
      guard let status = status(gateway.id), let known = gateway.revision, status.revision == known else { return nil }
      let targets = gateway.targets.map { target in
        let found = status.targets.first { $0.instance.number == target.instance }
        return TargetFact(
          instance: target.instance, healthy: found.map { $0.health == .healthy } ?? false, probe: found?.lastProbe ?? target.probe,
          inFlight: target.inFlight)
      }
      return .gateway(GatewayFact(gateway: gateway.id, revision: known, targets: targets))
    }
  }

  /// Takes in what was seen on hosts.
  mutating func take(_ facts: [HostFact]) {
    for fact in facts {
      for index in record.instances.indices where record.instances[index].host == fact.host && record.instances[index].phase == .serving {
        record.instances[index].down = fact.downtime(of: record.instances[index].number)
      }
    }
  }
}

extension HostFact {
  /// nil where its program is up. One whose folder is gone is as good as removed.
  fileprivate func downtime(of number: Int) -> Downtime? {
    guard let instance = instances.first(where: { $0.number == number }) else {
      return Downtime(isTriedAgain: false, end: EndedFact(.unitRemoved))
    }
    return Downtime(instance)
  }
}
