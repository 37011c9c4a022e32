import SluiceEngine
import SluiceHosts
import SluiceLocal
import SluiceModel
import SluiceRollout

/// `sluice adopt --reset-fence SERVICE`: the way out of a fence that nobody can go over, because some place says an epoch that nobody has reached.
struct FenceResetting {
  let service: ServiceName
  let session: FleetSession
  let console: Console

  /// Shows what stands where, asks, and sets the fence anew on every host that answers.
  func run(_ change: ChangeOptions) async throws {
    let hosts = session.workspace.fleet.hosts.filter { $0.slots > 0 }
    let found = await look(hosts)
    let known = try session.record(service)?.fence?.epoch
    let told = found.compactMap { (try? $0.fence.get())?.holder?.fence.epoch }.sorted()
    let next = Self.next(known: known, told: told)
    console.say("the fence of \(service) in fleet \(session.workspace.fleet.name), as its places tell it:")
    for (host, fence) in found { console.say("  \(host.name): \(Self.text(fence))") }
    if let known { console.say("  the record on this machine: epoch \(known)") }
    guard found.contains(where: { (try? $0.fence.get()) != nil }) else {
      console.complain("no host of \(service) answers", remedy: "sluice hosts check shows why")
      throw ExitStatus.failed
    }
    try change.confirm(
      "Set the fence of \(service) to epoch \(next) on all of them? Whoever acts on \(service) now loses it: make sure that nobody does.",
      console)
    try await reset(found.compactMap { (try? $0.fence.get()) == nil ? nil : $0.host }, to: next)
  }

  /// Above what is known here, and above what most of those say that are not beyond reach of it: one place that says more is not believed.
  static func next(known: UInt64?, told: [UInt64]) -> UInt64 {
    let middle = told.isEmpty ? 0 : told[(told.count - 1) / 2]
    let base = max(known ?? 0, middle <= RecordLimits.told - RecordLimits.longestJump ? middle : 0)
    let reachable = told.filter { $0 <= base + RecordLimits.longestJump }
    return max(base, reachable.max() ?? 0) + 1
  }

  private typealias Found = (host: SluiceModel.Host, fence: Result<HostFence, any Error>)

  private func look(_ hosts: [SluiceModel.Host]) async -> [Found] {
    let (hands, service) = (session.hosts, service)
    return await withTaskGroup(of: (Int, Result<HostFence, any Error>).self) { group in
      for (place, host) in hosts.enumerated() {
        group.addTask {
          do { return (place, .success(try await hands.fence(of: service, on: host))) } catch { return (place, .failure(error)) }
        }
      }
      return await group.reduce(into: [(Int, Result<HostFence, any Error>)]()) { $0.append($1) }
    }.sorted { $0.0 < $1.0 }.map { (hosts[$0.0], $0.1) }
  }

  private func reset(_ hosts: [SluiceModel.Host], to epoch: UInt64) async throws {
    let identity = ControllerIdentity.current()
    let holder = FenceHolder(
      fence: Fence(owner: identity.owner, epoch: epoch), machine: identity.machine, since: SystemTimekeeper().wall(), released: true)
    var failed = false
    for host in hosts {
      do {
        try await session.hosts.resetFence(holder, of: service, on: host)
        console.say("  \(host.name): epoch \(epoch)")
      } catch {
        failed = true
        console.complain("\(host.name): \(FleetHosts.words(error))")
      }
    }
    if failed { throw ExitStatus.failed }
  }

  private static func text(_ fence: Result<HostFence, any Error>) -> String {
    switch fence {
    case .success(let fence):
      if let holder = fence.holder {
        return "epoch \(holder.fence.epoch), \(holder.fence.owner.prefix { $0 != ":" })\(holder.released ? ", let go of" : "")"
      }
      let text = String(fence.text.unicodeScalars.filter { (32...126).contains($0.value) }.map(Character.init))
      return text.isEmpty ? "none" : "not a fence: \(text)"
    case .failure(let error): return "does not answer (\(FleetHosts.words(error)))"
    }
  }
}
