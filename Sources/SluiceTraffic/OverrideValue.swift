/// The value of a split's override field: `canary SECRET` or `stable SECRET`.
public struct OverrideValue: Hashable, Sendable {
  /// A longer secret is none. In octets.
  public static let secretLimit = 256

  public let side: SplitRule.Side
  /// Where the secret is.
  public let secret: Range<Int>

  /// Nil when the value has another form.
  public init?(_ field: UnsafeRawBufferPointer) {
    guard field.count > 7, field[6] == 32, field.count - 7 <= Self.secretLimit else { return nil }
    if Self.begins(field, "canary") {
      side = .canary
    } else if Self.begins(field, "stable") {
      side = .stable
    } else {
      return nil
    }
    secret = 7..<field.count
  }

  private static func begins(_ field: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
    for index in 0..<word.utf8CodeUnitCount where field[index] != word.utf8Start[index] { return false }
    return true
  }
}
