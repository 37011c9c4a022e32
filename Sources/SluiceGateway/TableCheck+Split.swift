package import SluiceGatewayAPI
import SluiceModel
import SluiceTraffic

/// What keeps a table with a split, a preview or roles from being taken.
extension RouteTable {
  var splitProblem: String? {
    let canaries = pools.count { $0.role == .canary }
    if split == nil, canaries == 1 { return "a pool has the role canary, and no split says who goes there" }
    guard let split else { return nil }
    if canaries == 0 { return "there is a split, and no pool has the role canary" }
    if split.generation > revision { return "the split's generation \(split.generation) is newer than the table" }
    return split.problem
  }

  var previewProblem: String? {
    guard let preview else { return nil }
    do {
      try RouteRules.preview(preview.hosts, of: hosts)
    } catch {
      return error.description
    }
    if !pools.contains(where: { $0.release == preview.release }) {
      return "the preview is of release \(preview.release.number), which has no pool"
    }
    return nil
  }

  /// The table as users meet it. Where no target is left that could serve those whom a split leaves with the other release, they go to the one
  /// that is there, all of them: stable is never given up for the canary, but what is gone cannot be waited for.
  package var asServed: RouteTable {
    func stands(_ role: Pool.Role) -> Bool { pools.contains { $0.role == role && $0.targets.contains { $0.state == .active } } }
    guard split != nil, !stands(.serving), stands(.canary) else { return self }
    var table = self
    table.split = nil
    for index in table.pools.indices where table.pools[index].role == .canary { table.pools[index].role = .serving }
    return table
  }
}

extension RouteTable.Split {
  fileprivate var problem: String? {
    if salt.isEmpty { return "the split's salt is empty: the same users would come first in every rollout" }
    do {
      try RouteRules.users(allow: allow, deny: deny)
      try RouteRules.userWindow(userWindow)
      if let controllerLost { try RouteRules.controllerLost(after: controllerLost.after) }
      try RouteRules.user(user)
      if let override { _ = try RouteRules.overrideHeader(override.header) }
    } catch {
      return error.description
    }
    if let controllerLost, controllerLost.leastTargets < 1 { return "controllerLost: leastTargets must be at least 1" }
    if let override, OverrideSecret(override) == nil { return "the override's digest is no SHA-256: 64 hexadecimal digits" }
    return nil
  }
}
