/// Finds a cookie in the value of a Cookie field (RFC 6265 section 4.2.1), in place and in one pass.
public enum CookieField {
  /// Where the value of the first cookie with this name is, without the quotes it may stand in; nil when there is none, or an empty one.
  ///
  /// Names are compared octet by octet, since case counts. What is no `name=value` is passed over, as servers do.
  @inlinable
  public static func value(of name: [UInt8], in field: UnsafeRawBufferPointer) -> Range<Int>? {
    var at = 0
    while at < field.count {
      while at < field.count, isBlank(field[at]) { at &+= 1 }
      var end = at
      while end < field.count, field[end] != 59 { end &+= 1 }
      if let value = value(of: name, in: field, pair: at..<end) { return value }
      at = end &+ 1
    }
    return nil
  }

  @inlinable
  static func value(of name: [UInt8], in field: UnsafeRawBufferPointer, pair: Range<Int>) -> Range<Int>? {
    let equals = pair.lowerBound &+ name.count
    guard equals < pair.upperBound, field[equals] == 61 else { return nil }
    for index in 0..<name.count where field[pair.lowerBound &+ index] != name[index] { return nil }
    var start = equals &+ 1
    var end = pair.upperBound
    while end > start, isBlank(field[end &- 1]) { end &-= 1 }
    if end &- start >= 2, field[start] == 34, field[end &- 1] == 34 {
      start &+= 1
      end &-= 1
    }
    return start < end ? start..<end : nil
  }

  @inlinable @inline(__always)
  static func isBlank(_ octet: UInt8) -> Bool { octet == 32 || octet == 9 }
}
