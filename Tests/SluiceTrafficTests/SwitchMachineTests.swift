import SluiceModel
import SluiceTraffic
import Testing

@Suite struct SwitchMachineTests {
  let now = WallTime(milliseconds: 1_000_000)
  func later(_ by: Int64) -> WallTime { WallTime(milliseconds: now.milliseconds + by) }

  @Test func `an order without a time moves at once and leaves a pending one standing`() {
    var machine = SwitchMachine()
    #expect(machine.order(.closed, at: later(5_000), now: now) == .scheduled)
    #expect(machine.state == .open)
    #expect(machine.order(.queue, at: nil, now: now) == .now(changed: true))
    #expect(machine.state == .queue)
    #expect(machine.pending == SwitchMachine.Pending(state: .closed, at: later(5_000)))
    #expect(machine.order(.queue, at: nil, now: now) == .now(changed: false))
  }

  @Test func `a pending order fires once, at its time and not before`() {
    var machine = SwitchMachine()
    _ = machine.order(.closed, at: later(100), now: now)
    let answer1 = machine.tick(now: later(99))
    #expect(!answer1)
    #expect(machine.state == .open)
    let answer2 = machine.tick(now: later(100))
    #expect(answer2)
    #expect(machine.state == .closed)
    _ = machine.order(.open, at: nil, now: later(101))
    let answer3 = machine.tick(now: later(10_000))
    #expect(!answer3)
    #expect(machine.state == .open)
  }

  @Test func `a restart that missed the time fires the order once`() {
    let before = SwitchMachine(state: .open, pending: .init(state: .closed, at: later(100)))
    var restored = SwitchMachine(state: before.state, pending: before.pending)
    let answer4 = restored.tick(now: later(3_600_000))
    #expect(answer4)
    #expect(restored.state == .closed)
    let answer5 = restored.tick(now: later(3_600_001))
    #expect(!answer5)
  }

  @Test(arguments: [(-500, true), (-501, false), (0, true), (-1, true), (Int64.min, false)] as [(Int64, Bool)])
  func `a time in the past is refused beyond half a second, and means now within it`(_ offset: Int64, _ accepted: Bool) {
    var machine = SwitchMachine()
    let at = WallTime(milliseconds: offset == .min ? .min : now.milliseconds + offset)
    let outcome = machine.order(.closed, at: at, now: now)
    #expect((outcome == .now(changed: true)) == accepted)
    #expect((machine.state == .closed) == accepted)
    #expect(machine.pending == nil)
  }

  @Test func `a refused order changes nothing, a later one replaces the pending one`() {
    var machine = SwitchMachine()
    _ = machine.order(.closed, at: later(100), now: now)
    guard case .past(let by) = machine.order(.queue, at: later(-600), now: now) else {
      Issue.record("it was not refused")
      return
    }
    #expect(by == Milliseconds(600))
    #expect(machine.pending?.state == .closed)
    #expect(machine.order(.queue, at: later(50), now: now) == .scheduled)
    #expect(machine.pending == .init(state: .queue, at: later(50)))
  }

  @Test func `a cancelled order does not fire`() {
    var machine = SwitchMachine()
    let answer6 = machine.cancel()
    #expect(!answer6)
    _ = machine.order(.closed, at: later(100), now: now)
    let answer7 = machine.cancel()
    #expect(answer7)
    let answer8 = machine.tick(now: later(200))
    #expect(!answer8)
    #expect(machine.state == .open)
  }
}
