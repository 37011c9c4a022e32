import Foundation
import SluiceModel
import Testing

@testable import SluiceRollout

/// Operators' words on whether hosts take instances, and what a host's refusal means to a rollout.
@Suite struct CordonTests {
  private static func word(_ number: UInt64, _ isDrained: Bool, on host: HostName = "a1") -> Cordon {
    Cordon(host: host, number: number, isDrained: isDrained, by: "anna@here", at: WallTime(milliseconds: 5))
  }

  @Test func `the newer word counts, in whatever order they are heard, and of two with one number the one that drains`() {
    let words = [Self.word(3, true), Self.word(4, false), Self.word(4, true), Self.word(2, false)]
    for order in [words, words.reversed(), Array(words[2...] + words[..<2])] {
      let cordons = Cordons(order)
      #expect(cordons.words == [Self.word(4, true)] && cordons.hosts == ["a1"], "\(order)")
    }
    var cordons = Cordons(words + [Self.word(1, true, on: "b1")])
    #expect(cordons.hosts == ["a1", "b1"])
    #expect(!cordons.hear(Self.word(4, false)) && cordons.hear(Self.word(5, false)) && cordons.hosts == ["b1"])
  }

  @Test func `a word comes after the one that its speaker knew of, whatever the clocks say`() {
    let later = Cordon("a1", isDrained: false, by: "bob@there", at: WallTime(milliseconds: 7), after: Self.word(1_000, true))
    #expect(later.number == 1_001 && later.isNewer(than: Self.word(1_000, true)))
    let first = Cordon("a1", isDrained: true, by: "bob@there", at: WallTime(milliseconds: 7_000), after: nil)
    #expect(first.number == 7_000)
    #expect(Cordon("a1", isDrained: true, by: "bob", at: WallTime(milliseconds: -5), after: nil).number == 1)
    let long = Cordon("a1", isDrained: true, by: String(repeating: "é", count: 1_000), at: WallTime(milliseconds: 0), after: nil)
    #expect(long.by.utf8.count == 200)
  }

  @Test func `facts and failures of a version before hosts kept words are read`() throws {
    let fact = #"{"host":"a1","generation":7,"instances":[],"releases":[],"listening":[22]}"#
    #expect(try JSONDecoder().decode(HostFact.self, from: Data(fact.utf8)) == HostFact(host: "a1", generation: 7, listening: [22]))
    let failure = #"{"kind":"host","message":"no","output":"","remedy":""}"#
    #expect(try JSONDecoder().decode(Failure.self, from: Data(failure.utf8)) == Failure(.host, "no"))
    let told = HostFact(host: "a1", generation: 7, cordon: Self.word(3, true))
    #expect(try JSONDecoder().decode(HostFact.self, from: JSONEncoder().encode(told)) == told)
  }

  @Test func `a host that was drained after it was chosen counts against no budget, and another one is used`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { isStart($0.action) } }
    let start = try bench.attempt(isStart)
    let host = try #require(start.action.host)
    let cordon = Cordon(host: host, number: 9, isDrained: true, by: "bob@there", at: WallTime(milliseconds: 5))
    // What the refusal tells has been heard before it is taken in.
    bench.cordon([host])
    bench.end(start, .failed(Failure(.drained, "\(host): it takes no instances: it is drained by bob@there", cordon: cordon)))
    bench.run()
    #expect(bench.record.ended?.result == .succeeded && bench.record.ended?.failures.isEmpty == true, "\(bench.kinds())")
    #expect(bench.record.instances.count == 3 && !bench.hosts.contains(host), "\(bench.hosts)")
    #expect(bench.record.releases.allSatisfy { $0.status == .succeeded })
    let told = try #require(bench.events.first { $0.kind == "host-drained" })
    #expect(told.text.contains("is not started on \(host): it takes no instances"), "\(told.text)")
  }

  @Test func `a host that refuses for a word that is known to be old is a failure like any other`() throws {
    var bench = try Bench.released(Bench.policy())
    try bench.apply(2)
    bench.run { $0.open.contains { isStart($0.action) } }
    bench.end(try bench.attempt(isStart), .failed(Failure(.drained, "a1: it takes no instances: it is drained")))
    bench.run()
    #expect(bench.record.ended?.result == .rolledBack, "\(String(describing: bench.record.ended))")
    #expect(bench.record.releases.allSatisfy { if case .bad = $0.status { false } else { true } })
  }

  @Test(arguments: [false, true]) func `where the floor is overridden, what has no other place goes, well or sick`(_ isSick: Bool) throws {
    var bench = try Bench.released(Bench.policy(replicas: 1), racks: 1)
    if isSick { bench.end(1) }
    bench.cordon(["a1"])
    try bench.command(.settle(cause: "drain", overrideFloor: true))
    bench.run()
    #expect(bench.record.instances.isEmpty && bench.record.ended?.result == .degraded)
  }
}
