import SluiceModel
import SluiceTraffic
import Testing

@Suite struct ChoiceTests {
  @Test func `round robin gives each target the same number, also when the number of targets changes`() {
    var chooser = TargetChooser(turn: 2)
    var counts = [0, 0, 0]
    for _ in 0..<300 { counts[chooser.roundRobin(count: 3)!] += 1 }
    #expect(counts == [100, 100, 100])
    for count in [1, 7, 2, 5] {
      let chosen = chooser.roundRobin(count: count)!
      #expect(chosen >= 0 && chosen < count)
    }
    #expect(chooser.roundRobin(count: 0) == nil)
  }

  @Test func `least loaded never takes a target that has more than another`() {
    var random = Seeded(3)
    var chooser = TargetChooser()
    for _ in 0..<2_000 {
      let loads = (0..<(1 + Int(random.next() % 9))).map { _ in Int(random.next() % 5) }
      let chosen = chooser.leastLoaded(count: loads.count) { loads[$0] }!
      #expect(loads[chosen] == loads.min())
    }
    #expect(chooser.leastLoaded(count: 0) { _ in 0 } == nil)
  }

  @Test func `idle targets share what comes one at a time`() {
    var chooser = TargetChooser()
    var counts = [0, 0, 0, 0]
    for _ in 0..<400 { counts[chooser.leastLoaded(count: 4) { _ in 0 }!] += 1 }
    #expect(counts == [100, 100, 100, 100])
  }

  typealias Candidate = Eligibility.Candidate

  @Test func `only serving and healthy targets get requests`() {
    let all = TargetMachine.State.allCases.flatMap { state in
      HealthMachine.Health.allCases.map { Candidate(state: state, health: $0, wasHealthy: true) }
    }
    let eligibility = Eligibility(all, threshold: .zero)
    for (index, candidate) in all.enumerated() {
      #expect(eligibility.eligible[index] == (candidate.state == .serving && candidate.health == .healthy))
    }
    #expect(!eligibility.panicking)
  }

  @Test func `when at least the threshold fails together all that were healthy once get requests`() {
    let well = Candidate(state: .serving, health: .healthy, wasHealthy: true)
    let ill = Candidate(state: .serving, health: .unhealthy, wasHealthy: true)
    let never = Candidate(state: .warming, health: .unhealthy, wasHealthy: false)
    let half = Eligibility([well, ill, ill, well, never], threshold: BasisPoints(5_000))
    #expect(half.panicking)
    #expect(half.eligible == [true, true, true, true, false])
    let few = Eligibility([well, well, ill, well, ill, never], threshold: BasisPoints(5_000))
    #expect(!few.panicking)
    #expect(few.eligible == [true, true, false, true, false, false])
  }

  @Test func `one target that fails alone is no panic, and a threshold of zero never panics`() {
    let ill = Candidate(state: .serving, health: .unhealthy, wasHealthy: true)
    let well = Candidate(state: .serving, health: .healthy, wasHealthy: true)
    #expect(!Eligibility([ill], threshold: BasisPoints(5_000)).panicking)
    #expect(!Eligibility([ill, well], threshold: BasisPoints(5_000)).panicking)
    #expect(!Eligibility([ill, ill, ill], threshold: .zero).panicking)
  }

  @Test func `draining targets never get requests, in panic neither`() {
    let ill = Candidate(state: .serving, health: .unhealthy, wasHealthy: true)
    let draining = Candidate(state: .draining, health: .healthy, wasHealthy: true)
    #expect(Eligibility([ill, ill, draining], threshold: BasisPoints(5_000)).eligible == [true, true, false])
  }

  @Test func `a target that nobody has judged leaves the decision open`() {
    let new = Candidate(state: .warming, health: .unknown, wasHealthy: false)
    #expect(Eligibility([new], threshold: .zero).undecided)
    #expect(!Eligibility([Candidate(state: .draining, health: .unknown, wasHealthy: false)], threshold: .zero).undecided)
    #expect(!Eligibility([Candidate(state: .warming, health: .unhealthy, wasHealthy: false)], threshold: .zero).undecided)
  }
}
