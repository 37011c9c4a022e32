import SluiceTraffic
import Testing

@Suite struct HealthMachineTests {
  @Test func `becomes healthy after rise passes in a row, and a failure between begins the count anew`() {
    var health = HealthMachine()
    let answer1 = health.probed(passed: true, rise: 2, fall: 3)
    #expect(!answer1)
    let answer2 = health.probed(passed: false, rise: 2, fall: 3)
    #expect(!answer2)
    let answer3 = health.probed(passed: true, rise: 2, fall: 3)
    #expect(!answer3)
    #expect(health.health == .unknown)
    let answer4 = health.probed(passed: true, rise: 2, fall: 3)
    #expect(answer4)
    #expect(health.health == .healthy)
    #expect(health.wasHealthy)
  }

  @Test func `becomes unhealthy after fall failures in a row only, and tells each change once`() {
    var health = HealthMachine(restored: .healthy, wasHealthy: true)
    let answer5 = health.probed(passed: false, rise: 1, fall: 3)
    #expect(!answer5)
    let answer6 = health.probed(passed: false, rise: 1, fall: 3)
    #expect(!answer6)
    #expect(health.health == .healthy)
    let answer7 = health.probed(passed: false, rise: 1, fall: 3)
    #expect(answer7)
    #expect(health.health == .unhealthy)
    let answer8 = health.probed(passed: false, rise: 1, fall: 3)
    #expect(!answer8)
    #expect(health.wasHealthy)
  }

  @Test func `an unknown target that fails becomes unhealthy, and was never healthy`() {
    var health = HealthMachine()
    let answer9 = health.probed(passed: false, rise: 2, fall: 1)
    #expect(answer9)
    #expect(health.health == .unhealthy)
    #expect(!health.wasHealthy)
  }

  @Test func `starting anew forgets the streak and the health, not that it was healthy once`() {
    var health = HealthMachine()
    _ = health.probed(passed: true, rise: 1, fall: 1)
    health.startAnew()
    #expect(health.health == .unknown)
    #expect(health.wasHealthy)
    let answer10 = health.probed(passed: true, rise: 2, fall: 1)
    #expect(!answer10)
  }

  @Test func `health follows a plain model over random outcomes`() {
    var random = Seeded(1)
    for _ in 0..<200 {
      let rise = 1 + Int(random.next() % 4)
      let fall = 1 + Int(random.next() % 4)
      var health = HealthMachine()
      var model = HealthMachine.Health.unknown
      var outcomes: [Bool] = []
      for _ in 0..<60 {
        let passed = random.next() % 2 == 0
        outcomes.append(passed)
        _ = health.probed(passed: passed, rise: rise, fall: fall)
        if outcomes.count >= rise, outcomes.suffix(rise).allSatisfy({ $0 }) { model = .healthy }
        if outcomes.count >= fall, outcomes.suffix(fall).allSatisfy({ !$0 }) { model = .unhealthy }
        #expect(health.health == model)
      }
    }
  }
}

/// A small generator with a seed (SplitMix64), so that a failing run can be repeated.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}
