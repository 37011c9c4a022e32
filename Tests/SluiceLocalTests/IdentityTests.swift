import SluiceLocal
import SluiceModel
import Testing

@Suite struct IdentityTests {
  @Test func `an owner tells user, machine, boot, process and run`() {
    let identity = ControllerIdentity(user: "ann", machine: "laptop.3fa92c11", boot: "7d0e4c21", pid: 4_711, random: 0x1F)
    #expect(identity.owner == "ann@laptop.3fa92c11:7d0e4c21:4711:000000000000001f")
    #expect(identity.who == "ann@laptop.3fa92c11")
    #expect(ControllerIdentity.machine(of: identity.owner) == "laptop.3fa92c11")
    #expect(ControllerIdentity.machine(of: "odd") == "odd")
  }

  @Test func `two runs on this machine differ in nothing but the run`() {
    let one = ControllerIdentity.current()
    let two = ControllerIdentity.current()
    #expect(one.machine == two.machine && one.user == two.user && one.owner != two.owner)
    #expect(ControllerIdentity.machine(of: one.owner) == one.machine)
    #expect(one.owner.split(separator: ":").count == 4)
    #expect(one.machine.split(separator: ".").last?.count == 8)
  }

  @Test func `the clocks go forward`() async throws {
    let time = SystemTimekeeper()
    let before = (time.monotonic(), time.wall())
    try await time.sleep(for: Milliseconds(20))
    #expect(time.monotonic() - before.0 >= Milliseconds(19))
    #expect(time.wall().milliseconds > 1_600_000_000_000)
    await #expect(throws: CancellationError.self) {
      let task = Task { try await time.sleep(for: .minutes(10)) }
      task.cancel()
      try await task.value
    }
  }
}
