package import NIOCore
package import SluiceEngine
package import SluiceModel
package import SluiceRollout
package import SluiceSSH
internal import Synchronization

/// How hosts are worked on.
package struct HostOptions: Sendable {
  package var ssh: SSHOptions
  /// For a script that neither uploads nor stops anything.
  package var scriptTime: Duration
  /// From the moment a host has taken a script to the script's first line.
  package var scriptStart: Duration
  /// How many of the releases to keep, newest first, also keep their packed artifact.
  package var packedArtifacts: Int

  /// A host that died is noticed after 6 seconds of silence, three times `keepAlive`; one that does not answer is given up after 5 seconds,
  /// in which TCP has asked three times.
  package static let defaultSSH = SSHOptions(connectTimeout: .seconds(5), authTimeout: .seconds(20), keepAlive: .seconds(2))

  package init(
    ssh: SSHOptions = HostOptions.defaultSSH, scriptTime: Duration = .seconds(60), scriptStart: Duration = .seconds(15),
    packedArtifacts: Int = 2
  ) {
    self.ssh = ssh
    self.scriptTime = scriptTime
    self.scriptStart = scriptStart
    self.packedArtifacts = packedArtifacts
  }
}

/// The hosts of a fleet, as the engine works on them: over SSH, by scripts that need nothing installed.
///
/// One connection per host, made when first needed. Every method may be called from any task.
package final class FleetHosts: HostPort {
  package let fleet: Fleet
  let group: any EventLoopGroup
  let artifacts: @Sendable (Digest) -> String
  let secrets: @Sendable (ServiceName, String) async throws -> [String: String]
  let options: HostOptions
  private let counter = ExecCounter()
  private let links = Mutex<[HostName: HostLink]>([:])

  /// - Parameters:
  ///   - artifacts: where the packed artifact of that digest lies on this machine.
  ///   - secrets: the values of a service's secrets of that version, by variable. Where it throws, a host that already has them goes on.
  package init(
    fleet: Fleet, group: any EventLoopGroup, artifacts: @escaping @Sendable (Digest) -> String,
    secrets: @escaping @Sendable (ServiceName, String) async throws -> [String: String], options: HostOptions = HostOptions()
  ) {
    self.fleet = fleet
    self.group = group
    self.artifacts = artifacts
    self.secrets = secrets
    self.options = options
  }

  /// Commands run so far, by host and kind.
  package var statistics: ExecCounts { counter.snapshot }

  /// The open connection to a host, made where there is none: for whatever else has to reach through it. Throws `SSHError`.
  package func connection(to host: Host) async throws -> SSHConnection { try await link(host).connection() }

  /// The keys that have got their users in on the hosts that are connected to now, in the fleet's order, each once.
  package func identities() async -> [SSHIdentity] {
    var found: [SSHIdentity] = []
    for host in fleet.hosts {
      guard let link = links.withLock({ $0[host.name] }), let identity = await link.identity, !found.contains(identity) else { continue }
      found.append(identity)
    }
    return found
  }

  /// Starts a command line on a host that talks for as long as it likes, and never keeps scripts there from running. Throws `SSHError`.
  package func stream(_ command: String, on host: Host) async throws -> SSHByteChannel { try await link(host).stream(command, .gateway) }

  /// Closes every connection; further calls fail.
  package func close() async {
    let all = links.withLock { links in Array(links.values) }
    for link in all { await link.close() }
  }

  func link(_ host: Host) -> HostLink {
    links.withLock { links in
      if let link = links[host.name], link.host == host { return link }
      let link = HostLink(host: host, options: options.ssh, group: group, counter: counter, scriptStart: options.scriptStart)
      links[host.name] = link
      return link
    }
  }

  var limits: SSHLimits { SSHLimits(timeout: options.scriptTime, maxOutput: 16 << 20) }

  // MARK: Port

  package func claim(_ claim: FenceClaim, on host: Host, ports: PortRange) async -> ClaimAnswer<HostFact> {
    var script = HostScript(FactScripts.claim)
    script.set(place: claim.service, of: fleet.name, on: host)
    script.set(fence: claim.fence)
    script.set(range: ports)
    script.set("machine", Token.encode(claim.machine))
    script.set("since", claim.since.milliseconds)
    script.set("takeover", claim.takeOver ? 1 : 0)
    do {
      let answer = try await link(host).run(script, .claim, limits: limits)
      if let holder = answer.holder() { return .refused(holder) }
      guard let fact = answer.facts(of: host.name) else { throw HostTrouble.unreadable(host, answer) }
      let signature = answer.has("signature") ? answer.text("signature") : nil
      return .granted(fact, answer.record.map { SignedCopy(file: $0, signature: signature) })
    } catch {
      return HostTrouble(error).claimAnswer()
    }
  }

  package func withdraw(_ service: ServiceName, fence: Fence, on host: Host) async {
    var script = HostScript(RecordScripts.withdraw)
    script.set(place: service, of: fleet.name, on: host)
    script.set(fence: fence)
    // Where it fails, the next controller of this machine goes over it, and one of another is told who holds it.
    _ = try? await link(host).run(script, .release, limits: limits)
  }

  package func perform(_ order: HostOrder, on host: Host) async -> AttemptResult {
    do {
      switch order.kind {
      case .observe: return try await observe(order, on: host)
      case .stage(let release): return try await stage(release, order, on: host)
      case .start(let instance, let release): return try await start(instance, release, order, on: host)
      case .checkReady(let instance, let release): return try await checkReady(instance, release, order, on: host)
      case .task(let release, let number, let secrets):
        return try await runTask(release, number: number, secrets: secrets, order, on: host)
      case .stop(let instance, let release): return try await stop(instance, release, order, on: host)
      }
    } catch {
      return HostTrouble(error).result
    }
  }

  package func replicate(_ copy: SignedCopy, service: ServiceName, fence: Fence, to host: Host) async -> Bool {
    guard let text = String(validating: copy.bytes, as: UTF8.self), let signature = copy.signature else { return false }
    var script = HostScript(RecordScripts.replicate)
    script.set(place: service, of: fleet.name, on: host)
    script.set(fence: fence)
    script.set("revision", "\(copy.revision.epoch) \(copy.revision.version)")
    script.set("content", text)
    script.set("signature", signature)
    let answer = try? await link(host).run(script, .replicate, limits: limits)
    return answer?.has("done") ?? false
  }

  package func release(_ service: ServiceName, fence: Fence, keep: [Digest], on host: Host) async {
    var script = HostScript(RecordScripts.release)
    script.set(place: service, of: fleet.name, on: host)
    script.set(fence: fence)
    script.set("keep", keep.map(\.rawValue).joined(separator: " "))
    script.set("packed", options.packedArtifacts)
    // Nothing depends on it: a fence that was not released is taken over, and what was not removed now is removed next time.
    _ = try? await link(host).run(script, .release, limits: limits)
  }

  private func observe(_ order: HostOrder, on host: Host) async throws -> AttemptResult {
    var script = HostScript(FactScripts.observe)
    script.set(place: order.service, of: fleet.name, on: host)
    script.set(fence: order.fence)
    script.set(range: order.policy.ports)
    let answer = try await link(host).run(script, .observe, limits: limits)
    guard let fact = answer.facts(of: host.name) else { throw HostTrouble.unreadable(host, answer) }
    return .succeeded(.facts(fact))
  }
}

extension HostTrouble {
  /// The script ran, and what it said is not what this version reads, or cannot be.
  static func unreadable(_ host: Host, _ answer: HostAnswer = HostAnswer()) -> HostTrouble {
    if let line = answer.excessive {
      return .failed(
        Failure(
          .host, "\(host.name) says what cannot be: \(line)",
          remedy: line.hasPrefix("holder ")
            ? "sluice adopt -f PATH --reset-fence SERVICE sets the fence anew everywhere"
            : "Look below \(host.root) on it, and remove what Sluice has not made."))
    }
    return .failed(
      Failure(
        .host, "\(host.name): the host's answer has another form than this version of Sluice reads",
        remedy: "Look at the files below \(host.root) on it."))
  }
}

extension HostScript {
  /// Where a service lies on a host, and how its addresses are told apart there.
  mutating func set(place service: ServiceName, of fleet: FleetName, on host: Host) {
    set("base", "\(host.root)/\(service)")
    set("service", service.rawValue)
    set(fleet: fleet, on: host)
  }

  /// Whose scripts these are, and how the host's addresses are told apart. `tag` tells fleets and roots apart in names of which a host has one set.
  mutating func set(fleet: FleetName, on host: Host) {
    set("root", host.root)
    set("fleet", fleet.rawValue)
    set("tag", HostTag.of(fleet, root: host.root))
    set("hex", ProcAddress.pattern(host.serviceAddress))
    set("local", host.serviceAddress)
  }

  mutating func set(fence: Fence) {
    set("owner", Token.encode(fence.owner))
    set("epoch", fence.epoch)
  }

  mutating func set(range: PortRange) {
    set("from", range.from)
    set("to", range.to)
  }
}
