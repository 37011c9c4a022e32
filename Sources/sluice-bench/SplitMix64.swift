import Glibc

/// Steele, Lea and Flood's SplitMix64 (OOPSLA 2014): the same numbers from the same seed everywhere.
struct SplitMix64 {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// A stream of its own for each number, so that one scenario's length does not shift another's numbers.
  init(seed: UInt64, stream: UInt64) {
    var mixer = SplitMix64(seed: seed &+ stream &* 0xD1B5_4A32_D192_ED03)
    state = mixer.next()
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Uniform in [0, 1).
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// True with that probability.
  mutating func chance(_ probability: Double) -> Bool { uniform() < probability }

  /// Exponential with that mean.
  mutating func exponential(mean: Double) -> Double { -mean * log1p(-uniform()) }

  /// How many of `count` come true: by the gaps between them, so the cost is that of the hits.
  mutating func binomial(_ count: Int, _ probability: Double) -> Int {
    guard probability > 0 else { return 0 }
    let scale = log1p(-probability)
    var place = 0.0
    var hits = 0
    while true {
      place += (log1p(-uniform()) / scale).rounded(.down) + 1
      if place > Double(count) { return hits }
      hits += 1
    }
  }
}
