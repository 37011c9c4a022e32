import Testing

@testable import SluiceRollout

/// Which instances go where there are too many: the same as when all racks and hosts are looked at anew for each, at another cost.
@Suite struct SurplusTests {
  /// The definition, word by word.
  private func plain(_ candidates: [Surplus.Candidate], count: Int) -> [Int] {
    var left = candidates
    var chosen: [Int] = []
    for _ in 0..<count {
      let inRack = Dictionary(grouping: left, by: \.rack).mapValues(\.count)
      let onHost = Dictionary(grouping: left, by: \.host).mapValues(\.count)
      func rank(_ one: Surplus.Candidate) -> (Int, Int, Int, Int) {
        (one.isServing ? 1 : 0, -(inRack[one.rack] ?? 0), -(onHost[one.host] ?? 0), -one.number)
      }
      guard let next = left.min(by: { rank($0) < rank($1) }) else { break }
      chosen.append(next.place)
      left.removeAll { $0 == next }
    }
    return chosen
  }

  /// A small generator of its own: the same fleets in every run.
  private struct Dice {
    var state: UInt64

    mutating func roll(_ sides: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % sides
    }
  }

  private func fleet(_ count: Int, _ dice: inout Dice, hosts: Int, racks: Int, sick: Int) -> [Surplus.Candidate] {
    var numbers = Array(1...max(1, count))
    for index in numbers.indices { numbers.swapAt(index, dice.roll(numbers.count)) }
    return (0..<count).map { place in
      let host = dice.roll(hosts)
      return Surplus.Candidate(
        place: place, number: numbers[place], isServing: dice.roll(100) >= sick, rack: host % racks, host: host)
    }
  }

  @Test func `it chooses as the definition does, in the same order, on random small fleets`() {
    var dice = Dice(state: 7)
    for round in 0..<600 {
      let candidates = fleet(dice.roll(24), &dice, hosts: 1 + dice.roll(8), racks: 1 + dice.roll(4), sick: [0, 20, 60, 100][round % 4])
      let count = dice.roll(candidates.count + 3)
      #expect(Surplus(of: candidates, count: count).chosen == plain(candidates, count: count), "round \(round)")
    }
  }

  @Test func `from 5 000 to 100 it compares a few dozen times for each that goes`() {
    var dice = Dice(state: 11)
    let candidates = fleet(5_000, &dice, hosts: 600, racks: 12, sick: 10)
    let surplus = Surplus(of: candidates, count: 4_900)
    #expect(surplus.chosen.count == 4_900 && Set(surplus.chosen).count == 4_900)
    // 2 · log2(600 hosts) + 2 · log2(12 racks) a choice, and once through all: looking at everything would be 5 000.
    #expect(surplus.comparisons < 40 * 4_900)
  }
}
