import SluiceEngine
import SluiceModel
import SluiceRollout

extension Scenario {
  /// What a host says that is not so. All that it says of numbers is within the bounds in which hosts are heard at all.
  package enum Lie: String, CaseIterable, Hashable, Sendable {
    /// A controller of another machine, which nobody else knows, acts on the service.
    case holder
    /// Its fence is as high as any can be.
    case epoch
    /// An instance runs there that nobody has started, with a number as high as any can be.
    case instance
    /// More has been done there than anybody can have done.
    case generation
    /// Something listens on all of the service's ports.
    case ports
  }
}

extension SimulatedHost {
  /// What it says of who may act on a service; nil: the truth.
  func invented(_ fence: Fence) -> FenceHolder? {
    let epoch: UInt64
    switch lie {
    case .holder: epoch = fence.epoch + 3
    case .epoch: epoch = RecordLimits.told
    case .instance, .generation, .ports, nil: return nil
    }
    return FenceHolder(
      fence: Fence(owner: "nobody:1", epoch: epoch), machine: "nobody", since: WallTime(milliseconds: 0), released: false)
  }

  /// What it says is to be seen there.
  func distorted(_ fact: HostFact, ports: PortRange) -> HostFact {
    var fact = fact
    switch lie {
    case .instance: fact.instances.append(InstanceFact(number: RecordLimits.numberTold, port: ports.from, running: true))
    case .generation: fact.generation = RecordLimits.told
    case .ports: fact.listening += Array(ports.from...min(ports.to, ports.from + 63))
    case .holder, .epoch, nil: break
    }
    return fact
  }
}
