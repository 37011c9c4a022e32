import SluiceModel
import SluiceTraffic
import Testing

@Suite struct ExposureTableTests {
  typealias Outcome = ExposureTable.Outcome

  @Test func `a user counts once in a window, and its first failure once`() {
    var table = ExposureTable()
    func ended(user: UInt32, window: Int, failed: Bool) -> Outcome { table.ended(user: user, window: window, failed: failed) }
    #expect(ended(user: 5, window: 0, failed: false) == Outcome(isExposure: true, isFailedExposure: false))
    #expect(ended(user: 5, window: 0, failed: false) == Outcome(isExposure: false, isFailedExposure: false))
    #expect(ended(user: 5, window: 0, failed: true) == Outcome(isExposure: false, isFailedExposure: true))
    #expect(ended(user: 5, window: 0, failed: true) == Outcome(isExposure: false, isFailedExposure: false))
    #expect(ended(user: 5, window: 2, failed: true) == Outcome(isExposure: true, isFailedExposure: true))
    #expect(ended(user: 6, window: 1, failed: false) == Outcome(isExposure: true, isFailedExposure: false))
  }

  @Test func `failures that go on from window to window count once`() {
    var table = ExposureTable()
    func fails(_ window: Int, _ failed: Bool = true) -> Bool { table.ended(user: 5, window: window, failed: failed).isFailedExposure }
    #expect(fails(0) && !fails(1) && !fails(2))
    #expect(!fails(3, false) && !fails(3), "a success between two failures of neighbouring windows ends no storm")
    #expect(!fails(4, false) && fails(5), "a whole window without one does")
  }

  @Test func `collisions only count users too often, never too seldom`() {
    var random = Seeded(4)
    var table = ExposureTable()
    for window in 0..<20 {
      var users: Set<UInt32> = []
      var exposures = 0
      var failures = 0
      for _ in 0..<3_000 {
        // Half of the users share a few slots with others.
        let user = UInt32(truncatingIfNeeded: random.next()) % 2_000 * (random.next() % 2 == 0 ? 1 : 4_096)
        let fails = random.next() % 5 == 0
        users.insert(user)
        let outcome = table.ended(user: user, window: window, failed: fails)
        if outcome.isExposure { exposures += 1 }
        if outcome.isFailedExposure { failures += 1 }
      }
      #expect(exposures >= users.count && exposures <= 3_000)
      #expect(failures <= exposures)
    }
  }
}

@Suite struct LeaseMachineTests {
  static let terms = LeaseMachine.Terms(after: .seconds(120), leastTargets: 2)
  static let wall = WallTime(milliseconds: 5)

  @Test func `it falls back once, when nothing was heard for long enough and enough targets can take all`() {
    var lease = LeaseMachine(now: .seconds(10))
    func tick(_ eligible: Int, now: Milliseconds) -> Bool { lease.tick(Self.terms, eligible: eligible, now: now, wall: Self.wall) }
    #expect(!tick(2, now: Milliseconds(129_999)))
    #expect(!tick(1, now: .seconds(130)))
    #expect(lease.fallenBack == nil)
    #expect(tick(2, now: .seconds(131)))
    #expect(lease.fallenBack == Self.wall)
    let again = lease.tick(Self.terms, eligible: 2, now: .seconds(500), wall: WallTime(milliseconds: 9))
    #expect(!again)
    #expect(lease.fallenBack == Self.wall)
  }

  @Test func `a renewal puts it off and does not take it back; another table does`() {
    var lease = LeaseMachine(now: .zero)
    func tick(_ eligible: Int, now: Milliseconds) -> Bool { lease.tick(Self.terms, eligible: eligible, now: now, wall: Self.wall) }
    lease.renew(now: .seconds(100))
    lease.renew(now: .seconds(50))
    #expect(!tick(2, now: .seconds(219)))
    #expect(tick(2, now: .seconds(220)))
    lease.renew(now: .seconds(230))
    #expect(lease.fallenBack != nil)
    lease.restart()
    #expect(lease.fallenBack == nil)
    #expect(!tick(2, now: .seconds(300)))
  }

  @Test func `after a restart it stands as it stood, or the time begins anew`() {
    #expect(LeaseMachine(now: .seconds(900), fallenBack: Self.wall).fallenBack == Self.wall)
    var lease = LeaseMachine(now: .seconds(900))
    func tick(_ eligible: Int, now: Milliseconds) -> Bool { lease.tick(Self.terms, eligible: eligible, now: now, wall: Self.wall) }
    #expect(!tick(9, now: .seconds(1_019)))
    #expect(tick(9, now: .seconds(1_020)))
  }
}
