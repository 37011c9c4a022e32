import SluiceEngine
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceLocal
import SluiceModel
import SluiceRollout

/// `sluice adopt --reset-fence SERVICE`: the way out of a fence that nobody can go over, because some place says an epoch that nobody has reached.
struct FenceResetting {
  let service: ServiceName
  let session: FleetSession
  let console: Console

  /// Shows what stands where, asks, and sets the fence anew on every host and gateway that answers.
  func run(_ change: ChangeOptions) async throws {
    let found = await look(session.workspace.fleet.hosts.filter { $0.slots > 0 })
    let gateways = await lookAtGateways()
    let known = try session.record(service)?.fence?.epoch
    let told = found.compactMap { (try? $0.fence.get())?.holder?.fence.epoch }.sorted()
    let next = Self.next(known: known, told: told)
    console.say("the fence of \(service) in fleet \(session.workspace.fleet.name), as its places tell it:")
    for (host, fence) in found { console.say("  \(host.name): \(Self.text(fence))") }
    for (id, fence) in gateways { console.say("  gateway \(id): \(Self.text(fence))") }
    if let known { console.say("  the record on this machine: epoch \(known)") }
    guard found.contains(where: { (try? $0.fence.get()) != nil }) else {
      console.complain("no host of \(service) answers", remedy: "sluice hosts check shows why")
      throw ExitStatus.failed
    }
    try change.confirm(
      "Set the fence of \(service) to epoch \(next) on all of them? Whoever acts on \(service) now loses it: make sure that nobody does.",
      console)
    let holder = Self.holder(next)
    let hostsDone = await reset(found.compactMap { (try? $0.fence.get()) == nil ? nil : $0.host }, to: holder)
    let gatewaysDone = await reset(gateways.compactMap { id, fence in (try? fence.get()).map { (id, $0) } }, to: holder.fence)
    if !hostsDone || !gatewaysDone { throw ExitStatus.failed }
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
    // By name: what a group gives as a pair of a number and such a result came out with another number in optimised code (Swift 6.3).
    let answers = await withTaskGroup(of: Answer.self) { group in
      for host in hosts {
        group.addTask {
          do { return Answer(host: host.name, fence: .success(try await hands.fence(of: service, on: host))) } catch {
            return Answer(host: host.name, fence: .failure(error))
          }
        }
      }
      var answers: [HostName: Result<HostFence, any Error>] = [:]
      for await answer in group { answers[answer.host] = answer.fence }
      return answers
    }
    return hosts.compactMap { host in answers[host.name].map { (host, $0) } }
  }

  /// What one host says.
  private struct Answer: Sendable {
    let host: HostName
    let fence: Result<HostFence, any Error>
  }

  /// Gateways that know the service.
  private func lookAtGateways() async -> [(id: GatewayID, fence: Result<Fence, any Error>)] {
    var found: [(GatewayID, Result<Fence, any Error>)] = []
    for id in session.workspace.gateways.flatMap(\.processes) {
      do { found.append((id, .success(try await session.gateways.fence(of: service, gateway: id)))) } catch let error as AdminError
        where error.reason == .notFound
      { continue } catch { found.append((id, .failure(error))) }
    }
    return found
  }

  private static func holder(_ epoch: UInt64) -> FenceHolder {
    let identity = ControllerIdentity.current()
    return FenceHolder(
      fence: Fence(owner: identity.owner, epoch: epoch), machine: identity.machine, since: SystemTimekeeper().wall(), released: true)
  }

  /// Whether all of them took it.
  private func reset(_ hosts: [SluiceModel.Host], to holder: FenceHolder) async -> Bool {
    var isDone = true
    for host in hosts {
      do {
        try await session.hosts.resetFence(holder, of: service, on: host)
        console.say("  \(host.name): epoch \(holder.fence.epoch)")
      } catch {
        isDone = false
        console.complain("\(host.name): \(FleetHosts.words(error))")
      }
    }
    return isDone
  }

  private func reset(_ gateways: [(id: GatewayID, standing: Fence)], to fence: Fence) async -> Bool {
    var isDone = true
    for (id, standing) in gateways {
      do {
        _ = try await session.gateways.resetFence(FenceReset(standing: standing, fence: fence), service: service, gateway: id)
        console.say("  gateway \(id): epoch \(fence.epoch)")
      } catch {
        isDone = false
        console.complain(
          "gateway \(id): \(error)", remedy: "a gateway of Sluice 0.1 knows no such order: sluice gateway upgrade \(id.host)")
      }
    }
    return isDone
  }

  private static func text(_ fence: Result<Fence, any Error>) -> String {
    switch fence {
    case .success(let fence): "epoch \(fence.epoch), \(fence.owner.prefix { $0 != ":" })"
    case .failure(let error): "does not answer (\(error))"
    }
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
