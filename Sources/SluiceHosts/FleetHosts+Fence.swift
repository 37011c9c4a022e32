package import SluiceEngine
package import SluiceModel
internal import SluiceRollout

/// What a host's file says of a service's fence.
package struct HostFence: Hashable, Sendable {
  /// nil: there is none, or it cannot be read.
  package var holder: FenceHolder?
  /// What the file holds, for people; empty where there is none.
  package var text: String
}

/// The way out of a fence that nobody can go over.
extension FleetHosts {
  /// Looks at a service's fence, and changes nothing. Throws `HostTrouble`.
  package func fence(of service: ServiceName, on host: Host) async throws -> HostFence {
    var script = HostScript(RecordScripts.fence)
    script.set(place: service, of: fleet.name, on: host)
    let answer = try await link(host).run(script, .inspect, limits: limits)
    return HostFence(holder: answer.holder(), text: answer.text("fence"))
  }

  /// Puts a fence, let go of, in the place of whatever stands: an operator's word, never a controller's own. Throws `HostTrouble`.
  package func resetFence(_ holder: FenceHolder, of service: ServiceName, on host: Host) async throws {
    var script = HostScript(RecordScripts.resetFence)
    script.set(place: service, of: fleet.name, on: host)
    script.set(fence: holder.fence)
    script.set("machine", Token.encode(holder.machine))
    script.set("since", holder.since.milliseconds)
    _ = try await link(host).run(script, .inspect, limits: limits)
  }

  /// What is wrong, for people.
  package static func words(_ error: any Error) -> String {
    switch HostTrouble(error) {
    case .failed(let failure), .shut(let failure): failure.message
    case .unreachable(let why), .inDoubt(let why): why
    }
  }
}
