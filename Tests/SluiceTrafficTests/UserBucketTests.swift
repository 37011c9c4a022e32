import Foundation
import SluiceModel
import SluiceTraffic
import Testing

@Suite struct UserBucketTests {
  /// One line of the vectors that other languages can check themselves against.
  struct Vector: Decodable {
    var salt: String
    var key: String
    var hash: UInt32
    var bucket: Int
  }

  static func hash(_ text: String) -> UInt32 { Array(text.utf8).withUnsafeBytes(XXH32.hash) }

  @Test(
    arguments: [
      ("", 0x02CC_5D05), ("a", 0x550D_7456), ("abc", 0x32D1_53FF), ("Nobody inspects the spammish repetition", 0xE229_3B2F),
    ] as [(String, UInt32)])
  func `the hash is xxHash's own`(_ text: String, _ expected: UInt32) { #expect(UserBucketTests.hash(text) == expected) }

  /// The constant is what the reference implementation (PyPI xxhash 3) gives for the same octets.
  @Test func `every length from 0 to 300 octets hashes as the reference does`() {
    var state: UInt32 = 1
    var folded: UInt32 = 0
    for length in 0...300 {
      let octets = (0..<length).map { _ in
        state = (state &* 1_103_515_245 &+ 12_345) & 0x7FFF_FFFF
        return UInt8(truncatingIfNeeded: state >> 16)
      }
      folded = folded &* 31 &+ octets.withUnsafeBytes(XXH32.hash)
    }
    #expect(folded == 0x150D_55EE)
  }

  @Test func `a text taken in pieces hashes as it does whole, wherever it is cut`() {
    let octets = (0..<100).map { UInt8($0 * 7 & 255) }
    let whole = octets.withUnsafeBytes(XXH32.hash)
    for first in 0...100 {
      for second in stride(from: first, through: 100, by: 9) {
        var hash = XXH32()
        for piece in [octets[..<first], octets[first..<second], octets[second...]] { Array(piece).withUnsafeBytes { hash.take($0) } }
        #expect(hash.value == whole, "cut at \(first) and \(second)")
      }
    }
  }

  @Test func `the vectors hold`() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/user-buckets.json")
    let vectors = try JSONDecoder().decode([Vector].self, from: Data(contentsOf: file))
    #expect(vectors.count > 60)
    for vector in vectors {
      let hash = Array(vector.key.utf8).withUnsafeBytes(UserSalt(vector.salt).hash)
      #expect(hash == vector.hash, "\(vector.salt):\(vector.key)")
      #expect(UserBucket(hash: hash).number == vector.bucket, "\(vector.salt):\(vector.key)")
    }
  }

  @Test func `a share of nothing holds no bucket, the whole holds all, and one point holds one`() {
    let buckets = (0..<10_000).map { UserBucket(hash: UInt32($0)) }
    #expect(buckets.count { $0.isWithin(.zero) } == 0)
    #expect(buckets.count { $0.isWithin(.whole) } == 10_000)
    #expect(buckets.filter { $0.isWithin(BasisPoints(1)) }.map(\.number) == [0])
  }

  @Test func `a larger share holds every user of a smaller one`() {
    let shares = [0, 1, 100, 101, 1_000, 4_999, 5_000, 9_999, 10_000].map { BasisPoints($0) }
    let rules = shares.map { SplitRule(share: $0, salt: "shop@14") }
    for user in 0..<20_000 {
      let sides = rules.map { UserBucketTests.side("user-\(user)", $0) }
      let first = sides.firstIndex(of: .canary)!
      #expect(sides[first...].allSatisfy { $0 == .canary })
      #expect(first > 0)
    }
  }

  static func side(_ key: String, _ rule: SplitRule, override: SplitRule.Side? = nil) -> SplitRule.Side {
    Array(key.utf8).withUnsafeBytes { rule.side($0, hash: rule.hash($0), override: override) }
  }

  @Test func `the deny list goes before the allow list, that before the tester's word, and that before the bucket`() {
    let none = SplitRule(share: .zero, salt: "s", allow: ["both", "allowed"], deny: ["both", "denied"])
    let all = SplitRule(share: .whole, salt: "s", allow: ["both", "allowed"], deny: ["both", "denied"])
    let cases: [(String, none: SplitRule.Side, all: SplitRule.Side)] = [
      ("allowed", .canary, .canary), ("denied", .stable, .stable), ("both", .stable, .stable), ("anybody", .stable, .canary),
      ("Allowed", .stable, .canary),
    ]
    for (key, withNone, withAll) in cases {
      #expect(UserBucketTests.side(key, none) == withNone)
      #expect(UserBucketTests.side(key, all) == withAll)
      for override in SplitRule.Side.allCases {
        let isListed = ["allowed", "denied", "both"].contains(key)
        #expect(UserBucketTests.side(key, none, override: override) == (isListed ? withNone : override))
        #expect(UserBucketTests.side(key, all, override: override) == (isListed ? withAll : override))
      }
    }
    #expect(all.sideWithoutKey() == .stable)
    #expect(all.sideWithoutKey(override: .canary) == .canary)
  }

  @Test func `a long list finds each of its users and nobody else`() {
    let listed = (0..<5_000).map { "user-\($0)" }
    let rule = SplitRule(share: .zero, salt: "s", allow: listed)
    for user in listed { #expect(UserBucketTests.side(user, rule) == .canary) }
    for user in 5_000..<10_000 { #expect(UserBucketTests.side("user-\(user)", rule) == .stable) }
  }

  @Test func `users whose hashes are equal are told apart by their keys`() {
    let salt = UserSalt("s")
    let list = UserList(["anna"], salt: salt)
    let hash = Array("anna".utf8).withUnsafeBytes(salt.hash)
    #expect(Array("anna".utf8).withUnsafeBytes { list.contains($0, hash: hash) })
    #expect(!Array("otto".utf8).withUnsafeBytes { list.contains($0, hash: hash) })
  }
}

/// How evenly users spread over the buckets: chi-square tests over a million made-up ones, always the same.
@Suite struct UserSpreadTests {
  static let count = 1_000_000

  /// Kinds of keys that services use.
  enum Kind: CaseIterable {
    case sequence, uuid, address

    func key(_ number: Int) -> [UInt8] {
      switch self {
      case .sequence: return Array(String(number).utf8)
      case .address: return Array("user\(number)@mail\(number % 13).example.com".utf8)
      case .uuid:
        var random = Seeded(UInt64(number))
        let digits = Array("0123456789abcdef".utf8)
        let words = [random.next(), random.next()]
        return (0..<36).map { place in
          if [8, 13, 18, 23].contains(place) { return 45 }
          return digits[Int(words[place & 1] >> UInt64(place / 2 % 16 * 4) & 15)]
        }
      }
    }
  }

  static func buckets(_ kind: Kind, salt: String) -> [Int] {
    let salt = UserSalt(salt)
    return (0..<count).map { number in UserBucket(hash: kind.key(number).withUnsafeBytes(salt.hash)).number }
  }

  /// The sum of (seen − expected)² ÷ expected, in standard deviations from what chance gives.
  static func deviation(_ seen: [Int], freedom: Int) -> Double {
    let expected = Double(seen.reduce(0, +)) / Double(seen.count)
    let sum = seen.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    return (sum - Double(freedom)) / (2 * Double(freedom)).squareRoot()
  }

  @Test(arguments: Kind.allCases)
  func `a million users fill the buckets as chance would`(_ kind: Kind) {
    var seen = Array(repeating: 0, count: UserBucket.count)
    for bucket in UserSpreadTests.buckets(kind, salt: "shop@14#7f3a9c") { seen[bucket] += 1 }
    let deviation = UserSpreadTests.deviation(seen, freedom: UserBucket.count - 1)
    #expect(abs(deviation) < 4, "\(deviation) standard deviations")
  }

  @Test(arguments: Kind.allCases)
  func `where a user is under one salt says nothing of where it is under another`(_ kind: Kind) {
    let first = UserSpreadTests.buckets(kind, salt: "shop@14#7f3a9c")
    let second = UserSpreadTests.buckets(kind, salt: "shop@15#1b20e4")
    var table = Array(repeating: 0, count: 400)
    for (one, other) in zip(first, second) { table[one / 500 * 20 + other / 500] += 1 }
    let deviation = UserSpreadTests.deviation(table, freedom: 19 * 19)
    #expect(abs(deviation) < 4, "\(deviation) standard deviations")
  }
}
