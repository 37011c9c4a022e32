/// SplitMix64 (Steele, Lea, Flood 2014): one seed, one sequence, on every machine.
package struct Randomness: Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Uniform in `range`.
  package mutating func integer(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
  }

  /// True with the given share of 10 000.
  package mutating func happens(_ basisPoints: Int) -> Bool { integer(in: 0...9_999) < basisPoints }

  package mutating func element<Element>(of array: [Element]) -> Element? {
    array.isEmpty ? nil : array[integer(in: 0...array.count - 1)]
  }
}
