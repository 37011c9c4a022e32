import SluiceModel
import Testing

@testable import SluiceRollout

/// What keeps a release from beginning: services that come first, windows, a freeze.
@Suite struct ClosureTests {
  private static let window = MaintenanceWindow(
    days: [0, 1, 2, 3], from: 9 * 60, to: 17 * 60, zone: "Europe/Berlin", text: "Mon-Thu 09:00-17:00 Europe/Berlin")
  private static let hour = Int64(3_600_000)
  /// Monday, 2026-11-23, midnight UTC.
  private static let monday = WallTime(milliseconds: 1_795_392_000_000)

  private func at(_ hours: Double, _ day: Int = 0) -> WallTime {
    WallTime(milliseconds: Self.monday.milliseconds + Int64(day) * 24 * Self.hour + Int64(hours * Double(Self.hour)))
  }

  // MARK: Windows

  @Test func `a window is open on its days between its times, and the next opening is found`() {
    let window = Self.window
    for (day, hours, isOpen) in [(0, 8.99, false), (0, 9, true), (3, 16.99, true), (3, 17, false), (4, 12, false), (6, 12, false)] {
      #expect(window.isOpen(atLocal: at(hours, day).milliseconds) == isOpen, "day \(day), \(hours)")
    }
    #expect(window.opens(afterLocal: at(8, 0).milliseconds) == .minutes(60))
    #expect(window.opens(afterLocal: at(17, 3).milliseconds) == .minutes(60 * (7 + 3 * 24 + 9)))
    let night = MaintenanceWindow(days: [5], from: 22 * 60, to: 4 * 60, zone: "UTC", text: "Sat 22:00-04:00 UTC")
    for (day, hours, isOpen) in [(5, 21.9, false), (5, 22, true), (6, 3.9, true), (6, 4, false), (5, 3, false)] {
      #expect(night.isOpen(atLocal: at(hours, day).milliseconds) == isOpen, "day \(day), \(hours)")
    }
    #expect(night.opens(afterLocal: at(23, 5).milliseconds) == .minutes(60 * (7 * 24 - 1)))
    // Before 1970 too.
    #expect(window.isOpen(atLocal: at(9).milliseconds - 52 * 60 * 7 * 24 * Self.hour))
  }

  /// Decides at a wall time, with Berlin an hour ahead.
  private func decided(_ record: ServiceRecord, _ view: FleetView, _ wall: WallTime, knowsZone: Bool = true) -> Decision {
    var view = view
    if knowsZone { view.zones = [ZoneOffset(zone: "Europe/Berlin", offset: .minutes(60))] }
    return decide(record, view: view, wall: wall)
  }

  @Test func `outside its windows nothing is begun, and it says when it will be`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2) { $0.windows = [Self.window] }
    #expect(bench.sent.isEmpty)
    let waiting = decided(bench.record, bench.view, at(7, 0))
    #expect(waiting.gate == .window([Self.window.text], opens: at(8, 0)) && waiting.attempts.isEmpty)
    #expect(try #require(waiting.wakeAt) <= waiting.record.activeTime + .minutes(30))
    #expect(waiting.gate?.opensByItself == true)
    let open = decided(waiting.record, bench.view, at(8, 0))
    #expect(open.gate == nil && open.attempts.contains { isStage($0.action) })
    let blind = decided(bench.record, bench.view, at(8, 0), knowsZone: false)
    #expect(blind.gate == .window([Self.window.text], opens: nil) && blind.gate?.opensByItself == false)
  }

  @Test func `a rollout that is under way when its window closes goes on, and so does going back`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.zones = [ZoneOffset(zone: "Europe/Berlin", offset: .minutes(60))]
    try bench.apply(2)
    bench.run { $0.record.rollout?.waves == 1 }
    // The bench's wall clock stands at 1970-01-01 01:00 in Berlin, outside.
    bench.record.policy.windows = [Self.window]
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    try bench.command(.rollback(to: nil))
    bench.run()
    #expect(bench.record.stable?.release == ReleaseNumber(1))
  }

  // MARK: Freeze

  @Test func `a freeze lets nothing begin and nothing go further but what goes back or was typed to mend`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.command(.freeze("the sale"))
    try bench.apply(2)
    #expect(bench.sent.isEmpty && bench.record.rollout?.gate == .frozen(by: "anna", "the sale"))
    try bench.command(.unfreeze)
    bench.run { $0.record.rollout?.wave == nil && $0.record.rollout?.waves == 1 }
    try bench.command(.freeze(""))
    bench.run()
    #expect(bench.record.rollout?.gate == .frozen(by: "anna", "") && bench.record.rollout?.waves == 1)
    #expect(bench.serving.count >= 3)
    try bench.command(.abort)
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack)
    try bench.command(.scale(4))
    bench.run()
    #expect(bench.serving.count == 4 && bench.record.freeze != nil)
    #expect(throws: Refusal.self) {
      try bench.command(.unfreeze)
      try bench.command(.unfreeze)
    }
  }

  @Test func `a frozen canary keeps its users where they are, also when no controller is there`() throws {
    var bench = try CanaryTests.released([CanaryStep(users: BasisPoints(1_000), hold: .seconds(60)), CanaryStep(users: BasisPoints(5_000))])
    try bench.apply(2)
    bench.run { $0.record.rollout?.gate != nil }
    #expect(bench.record.table.content?.split?.fallBack != nil, "it holds, and its controller is there")
    try bench.command(.freeze("the sale"))
    bench.pass(.seconds(61))
    bench.run { $0.open.isEmpty }
    #expect(bench.record.rollout?.gate == .frozen(by: "anna", "the sale"))
    #expect(bench.record.table.content?.split?.share == BasisPoints(1_000) && bench.record.table.content?.split?.fallBack == nil)
    try bench.command(.unfreeze)
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  // MARK: Order

  private func standing(_ change: (inout ServiceRecord) -> Void) -> Standing {
    var record = ServiceRecord(policy: ServicePolicy(name: "db", fleet: "test", replicas: 1))
    change(&record)
    return Standing(record)
  }

  private static let running = Rollout(
    number: 7, cause: "apply", by: "anna", startedAt: WallTime(milliseconds: 0), goal: Goal(release: nil, replicas: 1),
    origin: Goal(release: nil, replicas: 0), now: .zero)

  private static func end(_ number: Int, _ result: RolloutEnd.Result) -> RolloutEnd {
    RolloutEnd(
      number: number, cause: "apply", by: "anna", result: result, release: nil, startedAt: WallTime(milliseconds: 0),
      endedAt: WallTime(milliseconds: 0), reason: "", failures: [])
  }

  /// A rollout that waits for that of `db`.
  private func waiting() throws -> Bench {
    var bench = try Bench.released(Bench.policy())
    bench.view.standings = [standing { $0.rollout = Self.running }]
    try bench.apply(2) { $0.after = ["db"] }
    #expect(bench.record.rollout?.gate == .after("db", goesOn: true) && bench.sent.isEmpty)
    bench.pass(.minutes(60))
    #expect(bench.record.rollout?.gate == .after("db", goesOn: true), "waiting is no lack of progress")
    return bench
  }

  @Test func `what comes after another service waits until that has ended well`() throws {
    var bench = try waiting()
    bench.view.standings = [standing { $0.ended = Self.end(7, .succeeded) }]
    bench.settle()
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
  }

  @Test func `where the other failed, nothing of it is begun`() throws {
    var bench = try waiting()
    bench.view.standings = [standing { $0.ended = Self.end(7, .rolledBack) }]
    bench.settle()
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.record.ended?.reason.contains("db") == true)
    #expect(!bench.sent.contains(where: isStart))
  }

  @Test func `where the other failed while this was frozen, nothing of it is begun either`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.standings = [standing { $0.rollout = Self.running }]
    try bench.command(.freeze("the sale"))
    try bench.apply(2) { $0.after = ["db"] }
    #expect(bench.record.rollout?.gate == .frozen(by: "anna", "the sale"))
    bench.view.standings = [standing { $0.ended = Self.end(7, .rolledBack) }]
    try bench.command(.unfreeze)
    bench.run()
    #expect(bench.record.ended?.result == .failed && !bench.sent.contains(where: isStart))
  }

  @Test func `how one that comes first ends counts also where this one was stopped before it waited`() throws {
    var bench = try Bench.released(
      Bench.policy {
        $0.after = ["db"]
        $0.onFailure = .pause
      })
    bench.view.standings = [standing { $0.rollout = Self.running }]
    bench.tell(.hostUnreachable("a1", "no route"))
    try bench.apply(2)
    try #require(bench.record.rollout?.stoppedBy?.message.contains("a1") == true)
    bench.view.standings = [standing { $0.ended = Self.end(7, .rolledBack) }]
    try bench.command(.retry)
    #expect(!bench.sent.contains(where: isStage) && bench.record.rollout?.stoppedBy?.message.contains("which rolled back") == true)
  }

  @Test func `a failure of the other from before is none of its business, and one out of reach is`() throws {
    var bench = try Bench.released(Bench.policy())
    bench.view.standings = [standing { $0.ended = Self.end(6, .rolledBack) }]
    try bench.apply(2) { $0.after = ["db"] }
    bench.run()
    #expect(bench.record.ended?.result == .succeeded)
    bench.view.standings = [Standing(ServiceRecord(policy: ServicePolicy(name: "db", fleet: "test", replicas: 1)), isOutOfReach: true)]
    try bench.apply(3)
    bench.run()
    #expect(bench.record.ended?.result == .failed && bench.record.ended?.reason.contains("could not be applied") == true)
  }

  @Test func `while the other waits for an operator, so does this`() throws {
    var bench = try waiting()
    bench.view.standings = [
      standing {
        $0.rollout = Self.running
        $0.rollout?.gate = .paused(by: "anna")
      }
    ]
    bench.settle()
    #expect(bench.record.rollout?.gate == .after("db", goesOn: false))
    #expect(bench.record.rollout?.gate?.opensByItself == false)
  }
}
