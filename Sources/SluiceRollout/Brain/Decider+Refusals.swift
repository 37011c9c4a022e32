import SluiceModel

/// Tables that gateways refuse: what is routed stays as the last table says that they took. That blocks no way back.
extension Decider {
  /// The gate of a gateway that refuses the newest table, now and again.
  var refusedTable: Gate? {
    for id in routingGateways {
      guard let gateway = record.gateway(id), gateway.refuses(record.table.revision), let failure = gateway.refusal?.failure else {
        continue
      }
      return .tableRefused(id, failure.message, remedy: failure.remedy)
    }
    return nil
  }

  /// Whether the gateway is not going to be given the newest table any more: nobody waits for what it says to that, until somebody types
  /// something.
  func isGivenUp(_ state: GatewayState) -> Bool {
    guard state.refuses(record.table.revision) else { return false }
    guard let rollout = record.rollout else { return true }
    return rollout.stoppedBy != nil || rollout.interrupted
  }

  /// Whether the gateway cannot send anything to the instance: it refuses the tables that name it, and has had none that did.
  func hasNeverLetIn(_ instance: Instance, _ state: GatewayState) -> Bool {
    state.refuses(record.table.revision) && state.heard == true && state.reach.isReachable && !state.knows(instance.number)
  }

  /// Whether the gateway may stay with the table that it has, while the rollout goes back: what that names is what is to stand.
  func mayStay(_ state: GatewayState) -> Bool {
    guard state.refuses(record.table.revision), state.heard == true, state.reach.isReachable, record.rollout?.direction.isForward == false
    else {
      return false
    }
    // No users come through it yet: what it has from before it was excluded is in nobody's way.
    if state.joins == true { return true }
    return state.targets.allSatisfy { fact in record.table.content?.target(fact.instance).map { !$0.draining } ?? false }
  }

  /// A table that no gateway has ever taken, and that names nothing any more, is none.
  mutating func withdrawRefusedTable() {
    guard let content = record.table.content, content.targets.isEmpty, refusedTable != nil, record.rollout?.direction.isForward != true,
      record.gateways.allSatisfy({ $0.revision == nil && $0.targets.isEmpty })
    else { return }
    record.table.content = nil
    for index in record.gateways.indices { record.gateways[index].refusal = nil }
  }
}

extension ServiceRecord {
  /// The gate of a gateway that refuses the table, and has not got by an older one what that gives users; nil: users miss nothing there.
  package func refusal(by state: GatewayState) -> Gate? {
    guard state.refuses(table.revision), let failure = state.refusal?.failure, let content = table.content else { return nil }
    let given = content.content(for: state.id).targets.filter { !$0.draining }.map(\.instance)
    if given.allSatisfy(state.knows) { return nil }
    return .tableRefused(state.id, failure.message, remedy: failure.remedy)
  }
}
