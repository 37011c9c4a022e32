import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

@Suite("Who may act on a host", .enabled(if: LoopbackHost.isPossible, "needs sshd and python3"), .timeLimit(.minutes(3)), .serialized)
struct OwnershipTests {
  private let mine = Fence(owner: "me@here:boot:1", epoch: 3)
  private let other = Fence(owner: "you@there boot:2 %", epoch: 4)

  @Test("The fence is granted to the first, to its holder, on the holder's machine, after a clean end and to who takes it over")
  func grants() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim(mine) else { return #expect(Bool(false), "the first") }
      guard case .granted = await bench.claim(mine) else { return #expect(Bool(false), "the holder") }
      let refused = await bench.claim(other, machine: "there")
      #expect(refused == .refused(FenceHolder(fence: mine, machine: "here", since: WallTime(milliseconds: 7), released: false)))
      guard case .granted = await bench.claim(Fence(owner: "later", epoch: 4), machine: "here") else {
        return #expect(Bool(false), "same machine")
      }
      let low = await bench.claim(Fence(owner: "x", epoch: 4), machine: "here", takeOver: true)
      guard case .refused(let holder) = low else { return #expect(Bool(false), "\(low)") }
      #expect(holder.fence == Fence(owner: "later", epoch: 4))
      var taken = other
      taken.epoch = 5
      guard case .granted = await bench.claim(taken, machine: "there", takeOver: true) else { return #expect(Bool(false), "take-over") }
      await bench.hands.release("shop", fence: taken, keep: [], on: bench.host)
      guard case .refused(let ended) = await bench.claim(mine) else { return #expect(Bool(false), "lower after the end") }
      #expect(ended == FenceHolder(fence: taken, machine: "there", since: WallTime(milliseconds: 7), released: true))
      guard case .granted = await bench.claim(Fence(owner: "third", epoch: 6), machine: "third") else {
        return #expect(Bool(false), "after the end")
      }
    }
  }

  @Test("A fence that is a directory grants nothing")
  func directory() async throws {
    try await Bench.run { bench in
      try FileManager.default.createDirectory(atPath: "\(bench.root)/shop/fence", withIntermediateDirectories: true)
      guard case .failed(let failure) = await bench.claim(mine) else { return #expect(Bool(false), "granted") }
      #expect(failure.message.contains("fence is a directory"), "\(failure)")
    }
  }

  @Test("A claim that is withdrawn leaves no trace: the former holder has it again, or nobody")
  func withdrawn() async throws {
    try await Bench.run { bench in
      guard case .granted = await bench.claim(mine) else { return #expect(Bool(false), "the first") }
      for epoch: UInt64 in [4, 5] {
        var bold = other
        bold.epoch = epoch
        guard case .granted = await bench.claim(bold, machine: "there", takeOver: true) else { return #expect(Bool(false), "take-over") }
      }
      // What is not held is not withdrawn.
      await bench.hands.withdraw("shop", fence: other, on: bench.host)
      guard case .refused(let holder) = await bench.claim(Fence(owner: "x", epoch: 9), machine: "elsewhere") else {
        return #expect(Bool(false), "still held")
      }
      #expect(holder.fence == Fence(owner: other.owner, epoch: 5))
      await bench.hands.withdraw("shop", fence: Fence(owner: other.owner, epoch: 5), on: bench.host)
      #expect(await bench.perform(.observe, fence: mine).failure == nil)
      guard case .refused(let former) = await bench.claim(Fence(owner: "x", epoch: 9), machine: "elsewhere") else {
        return #expect(Bool(false), "held again")
      }
      #expect(former == FenceHolder(fence: mine, machine: "here", since: WallTime(milliseconds: 7), released: false))
    }
    try await Bench.run { bench in
      guard case .granted = await bench.claim(mine) else { return #expect(Bool(false), "the first") }
      await bench.hands.withdraw("shop", fence: mine, on: bench.host)
      guard case .granted = await bench.claim(Fence(owner: "y", epoch: 1), machine: "elsewhere") else {
        return #expect(Bool(false), "nobody holds it")
      }
    }
  }

  @Test("A stale controller changes nothing, whatever it asks")
  func stale() async throws {
    try await Bench.run { bench in
      let (instance, release) = try await bench.running()
      let newer = Fence(owner: "new", epoch: 2)
      guard case .granted = await bench.claim(newer, takeOver: true) else { return #expect(Bool(false), "take-over") }
      let before = try await facts(bench, newer)
      let second = try await bench.instance(2, of: release)
      let orders: [HostOrder.Kind] = [.observe, .stage(try await bench.release(9)), .start(second, release), .stop(instance, release)]
      for order in orders {
        for fence in [bench.fence, Fence(owner: "same epoch", epoch: 2)] {
          let failure = await bench.perform(order, fence: fence).failure
          #expect(failure?.kind == .fenced && failure?.holder == newer, "\(String(describing: failure))")
          #expect(failure?.message.contains("new (epoch 2)") == true, "\(String(describing: failure))")
        }
      }
      #expect(
        await !bench.hands.replicate(
          bench.copy(99, "late"), service: "shop", fence: bench.fence, to: bench.host))
      await bench.hands.release("shop", fence: bench.fence, keep: [], on: bench.host)
      #expect(try await facts(bench, newer) == before)
      guard case .refused(let holder) = await bench.claim(Fence(owner: "x", epoch: 9), machine: "elsewhere") else {
        return #expect(Bool(false))
      }
      #expect(!holder.released)
    }
  }

  private func facts(_ bench: Bench, _ fence: Fence) async throws -> HostFact {
    guard case .succeeded(.facts(let fact)) = await bench.perform(.observe, fence: fence) else { throw Unexpected(what: "no facts") }
    var own = fact
    // Other tests listen on this machine too.
    own.listening = []
    return own
  }

  @Test("Of two that claim at once with the same epoch, one gets it")
  func race() async throws {
    try await Bench.run { bench in
      let granted = await withTaskGroup(of: Bool.self) { group in
        for number in 0..<6 {
          group.addTask {
            if case .granted = await bench.claim(Fence(owner: "c\(number)", epoch: 1), machine: "m\(number)") { true } else { false }
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(granted == 1)
    }
  }

  @Test("The record's copy comes back with the next claim; an older one does not go over a newer")
  func records() async throws {
    try await Bench.run { bench in
      guard case .granted(_, nil) = await bench.claim() else { return #expect(Bool(false), "no record yet") }
      func replicate(_ version: UInt64, _ text: String) async -> Bool {
        await bench.hands.replicate(
          bench.copy(version, text), service: "shop", fence: bench.fence, to: bench.host)
      }
      let text = "{\"a\":\"it's $HOME `x` \\ end\nsluice/1\"}"
      #expect(await replicate(9, text))
      #expect(await replicate(10, text + "ü"))
      #expect(await replicate(8, "old"))
      guard case .granted(_, let copy) = await bench.claim() else { return #expect(Bool(false), "granted") }
      #expect(copy == bench.copy(10, text + "ü"))
      let large = String(repeating: "0123456789", count: 100_000)
      #expect(await replicate(11, large))
      guard case .granted(_, let again) = await bench.claim() else { return #expect(Bool(false), "granted") }
      #expect(again.flatMap { CopyStatement($0.bytes) }?.record.count == 1_000_000)
    }
  }

  @Test("The clean end keeps what is told and what runs, and removes the rest")
  func prune() async throws {
    try await Bench.run { bench in
      bench.setSecrets(["TOKEN": "x"])
      let (_, first) = try await bench.running(1, secrets: "v1") { $0.run.secrets = ["TOKEN"] }
      var releases = [first]
      for number in 2...5 {
        let release = try await bench.release(number, files: ["VERSION": "\(number)"])
        #expect(await bench.perform(.stage(release)).generation != nil)
        releases.append(release)
      }
      try "x".write(toFile: "\(bench.root)/shop/secrets/v0", atomically: true, encoding: .utf8)
      await bench.hands.release("shop", fence: bench.fence, keep: [releases[4], releases[3], releases[2]].map(\.digest), on: bench.host)
      let facts = try await bench.facts()
      #expect(facts.releases == [releases[0], releases[2], releases[3], releases[4]].map(\.digest).sorted())
      #expect(facts.instances.map(\.running) == [true])
      let packed = try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop/artifacts").sorted()
      #expect(packed == [releases[3], releases[4]].map { "\($0.spec.artifact).tar.gz" }.sorted())
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.root)/shop/secrets") == ["v1"])
    }
  }
}
