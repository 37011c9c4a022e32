import SluiceModel
import SluiceTraffic
import Testing

@Suite struct TableGuardTests {
  let mine = Fence(owner: "anna", epoch: 5)
  let other = Fence(owner: "ben", epoch: 5)

  func standing(_ epoch: UInt64, _ version: UInt64) -> TableGuard {
    TableGuard(fence: mine, revision: Revision(epoch: epoch, version: version))
  }

  @Test func `a lower epoch, or the same with another owner, has no effect whatever its revision`() {
    let guarded = standing(5, 3)
    let lower = Fence(owner: "anna", epoch: 4)
    for fence in [other, lower] {
      #expect(guarded.judge(fence) == .fenced(by: mine))
      #expect(guarded.judge(fence, revision: Revision(epoch: 4, version: 99), same: false) == .fenced(by: mine))
      #expect(guarded.judge(fence, revision: Revision(epoch: 5, version: 3), same: true) == .fenced(by: mine))
    }
  }

  @Test func `a newer revision is taken, an older refused, the same taken as done or refused by its content`() {
    let guarded = standing(5, 3)
    let live = Revision(epoch: 5, version: 3)
    #expect(guarded.judge(mine, revision: Revision(epoch: 5, version: 4), same: false) == .take)
    #expect(guarded.judge(mine, revision: Revision(epoch: 5, version: 2), same: false) == .stale(live: live))
    #expect(guarded.judge(mine, revision: Revision(epoch: 4, version: 99), same: true) == .stale(live: live))
    #expect(guarded.judge(mine, revision: live, same: true) == .already)
    #expect(guarded.judge(mine, revision: live, same: false) == .conflicting(live: live))
  }

  @Test func `a revision above its own fence's epoch is nonsense`() {
    #expect(standing(5, 3).judge(mine, revision: Revision(epoch: 6, version: 1), same: false) == .impossible)
  }

  @Test func `a higher epoch takes over, and the old holder is fenced from then on`() {
    var guarded = standing(5, 3)
    let next = Fence(owner: "ben", epoch: 6)
    #expect(guarded.judge(next) == .take)
    guarded.raise(to: next)
    #expect(guarded.judge(next) == .already)
    #expect(guarded.judge(mine) == .fenced(by: next))
  }

  @Test func `where nobody stands anyone with an epoch may begin`() {
    let fresh = TableGuard()
    #expect(fresh.judge(mine) == .take)
    #expect(fresh.judge(mine, revision: Revision(epoch: 5, version: 1), same: false) == .take)
    #expect(fresh.judge(Fence(owner: "x", epoch: 0)) == .fenced(by: TableGuard.nobody))
  }

  @Test func `what is admitted in any order of arrival ends with the newest revision of the highest fence`() {
    var random = Seeded(7)
    for _ in 0..<300 {
      var guarded = TableGuard()
      var newest: Revision?
      for _ in 0..<30 {
        let fence = Fence(owner: random.next() % 2 == 0 ? "anna" : "ben", epoch: random.next() % 4 + 1)
        let revision = Revision(epoch: random.next() % 4 + 1, version: random.next() % 5)
        let before = guarded
        switch guarded.judge(fence, revision: revision, same: false) {
        case .take:
          #expect(before.fence.admits(fence))
          #expect(newest.map { $0 < revision } ?? true)
          guarded.raise(to: fence)
          guarded.took(revision)
          newest = revision
        case .already: Issue.record("nothing was the same")
        default: #expect(guarded == before)
        }
      }
      #expect(guarded.revision == newest)
    }
  }
}

@Suite struct FenceBoundTests {
  @Test func `an epoch that leaps over what stands is refused, and one that nobody could reach`() {
    let guarded = TableGuard(fence: Fence(owner: "anna", epoch: 5), revision: nil)
    for epoch: UInt64 in [6, 1_000, 5 + Bounds.epochLeap] { #expect(guarded.judge(Fence(owner: "ben", epoch: epoch)) == .take) }
    for epoch: UInt64 in [6 + Bounds.epochLeap, 1 << 47, Bounds.epoch + 1, 1 << 53, 1 << 63 - 2, 1 << 63, .max] {
      #expect(guarded.judge(Fence(owner: "ben", epoch: epoch)) == .leaping(over: guarded.fence), "\(epoch)")
    }
    #expect(
      guarded.judge(guarded.fence, revision: Revision(epoch: 5, version: .max), same: false) == .unbounded(.init(epoch: 5, version: .max)))
  }

  @Test func `who holds a fence that nobody can exceed may go on; a reset gives it back, and what it wrote counts as old`() {
    let locked = Fence(owner: "ben", epoch: 1 << 63 - 2)
    var guarded = TableGuard(fence: locked, revision: Revision(epoch: 1 << 63 - 2, version: 4))
    #expect(guarded.judge(locked) == .already)
    #expect(guarded.judge(Fence(owner: "anna", epoch: 1 << 63 - 1)) == .leaping(over: locked))
    let back = Fence(owner: "anna", epoch: 8)
    guarded.reset(to: back)
    #expect(guarded.fence == back && guarded.revision == Revision(epoch: 0, version: 0))
    #expect(guarded.judge(back, revision: Revision(epoch: 7, version: 3), same: false) == .take)
    #expect(guarded.judge(Fence(owner: "ben", epoch: 9)) == .take)
  }
}
