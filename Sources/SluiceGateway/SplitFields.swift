import SluiceTraffic

/// The fields of a request that a split asks for. A head is walked over once more for them, so that a request without a split pays nothing.
struct SplitFields {
  /// Values of Cookie.
  private(set) var cookies: [Span] = []
  /// The value of the field that names the user.
  private(set) var named: Span?
  private(set) var authorization: Span?
  /// The value of the override's field.
  private(set) var override: Span?
  /// The override's lines, which no target sees.
  private(set) var overrideLines: [Span] = []

  /// Reads a head that has been scanned; where a field that may stand once stands twice, the first counts.
  mutating func read(_ octets: UnsafeRawBufferPointer, _ head: RequestHead, _ plan: SplitPlan) {
    cookies.removeAll(keepingCapacity: true)
    overrideLines.removeAll(keepingCapacity: true)
    named = nil
    authorization = nil
    override = nil
    guard plan.readsFields else { return }
    // Read once: what a class holds is counted anew with each use.
    let (readsCookies, readsAuthorization) = (plan.readsCookies, plan.readsAuthorization)
    let (overrideField, namedField) = (plan.override?.field, plan.namedField)
    var cursor = FieldCursor(at: head.fieldsStart)
    while cursor.next(octets, end: head.length) == .field {
      let name = cursor.name
      if readsCookies, octets.holds("cookie", at: name.start, name.end) { cookies.append(cursor.value) }
      if let overrideField, octets.holds(overrideField, name) {
        overrideLines.append(cursor.line)
        if override == nil { override = cursor.value }
      }
      if let namedField, named == nil, !cursor.value.isEmpty, octets.holds(namedField, name) { named = cursor.value }
      if readsAuthorization, authorization == nil, octets.holds("authorization", at: name.start, name.end) { authorization = cursor.value }
    }
  }

  /// Where the value of a cookie is, over all Cookie fields: a client may send several (RFC 9113 section 8.2.3 lets proxies split them).
  func cookie(_ name: [UInt8], _ octets: UnsafeRawBufferPointer) -> Span? {
    for field in cookies {
      if let found = CookieField.value(of: name, in: octets.part(field)) {
        return Span(start: field.start + found.lowerBound, end: field.start + found.upperBound)
      }
    }
    return nil
  }
}

extension UnsafeRawBufferPointer {
  /// The octets of a span by themselves.
  @inline(__always)
  func part(_ span: Span) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[span.start..<span.end]) }

  /// Whether the span holds `name` (given in lower case), letters in any case.
  @inline(__always)
  func holds(_ name: [UInt8], _ span: Span) -> Bool {
    guard span.end - span.start == name.count else { return false }
    for index in 0..<name.count where Octet.lower(self[span.start + index]) != name[index] { return false }
    return true
  }
}
