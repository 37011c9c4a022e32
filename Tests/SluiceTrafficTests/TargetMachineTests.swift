import SluiceTraffic
import Testing

@Suite struct TargetMachineTests {
  /// Every state with every event: what follows. Whatever is not named stays.
  @Test func `each state goes on as the table of states says, and nowhere else`() {
    let events: [TargetMachine.Event] = [
      .tableActive, .tableDraining, .becameHealthy, .becameUnhealthy, .counted(open: 0), .counted(open: 2),
    ]
    let follows: [TargetMachine.State: [TargetMachine.Event: TargetMachine.State]] = [
      .warming: [.tableDraining: .draining, .becameHealthy: .serving],
      .serving: [.tableDraining: .draining],
      .draining: [.tableActive: .warming, .counted(open: 0): .drained],
      .drained: [.tableActive: .warming, .counted(open: 2): .draining],
    ]
    for state in TargetMachine.State.allCases {
      for event in events {
        var machine = Self.machine(in: state)
        let changed = machine.apply(event)
        let expected = follows[state]?[event] ?? state
        #expect(machine.state == expected, "\(state) \(event)")
        #expect(changed == (expected != state), "\(state) \(event)")
      }
    }
  }

  @Test func `health never brings a draining target back`() {
    var machine = Self.machine(in: .draining)
    for _ in 0..<5 { machine.apply(.becameHealthy) }
    #expect(machine.state == .draining)
    machine.apply(.counted(open: 0))
    machine.apply(.becameHealthy)
    #expect(machine.state == .drained)
  }

  @Test func `a target restored as serving serves, one that was never healthy warms`() {
    #expect(TargetMachine(restoredServing: true).state == .serving)
    #expect(TargetMachine(restoredServing: false).state == .warming)
  }

  static func machine(in state: TargetMachine.State) -> TargetMachine {
    var machine = TargetMachine()
    switch state {
    case .warming: break
    case .serving: machine.apply(.becameHealthy)
    case .draining: machine.apply(.tableDraining)
    case .drained:
      machine.apply(.tableDraining)
      machine.apply(.counted(open: 0))
    }
    precondition(machine.state == state)
    return machine
  }
}
