import NIOCore
import SluiceModel
import SluiceTraffic

/// A split on one event loop: finds out who a request is from, and on which side of the split that is. Touched on that loop only.
final class LoopSplit {
  let plan: SplitPlan
  let traffic: SplitTraffic
  /// Everybody is on the stable side, because no controller was heard.
  let fallenBack: Bool
  private var fields = SplitFields()
  private var claim = TokenClaim()
  /// A key that does not stand in the head as it is.
  private var key: [UInt8] = []

  /// Where a user's key is.
  private enum Found {
    case nowhere
    case inHead(Span)
    /// In `key`.
    case apart
  }

  init(_ plan: SplitPlan, traffic: SplitTraffic, fallenBack: Bool) {
    self.plan = plan
    self.traffic = traffic
    self.fallenBack = fallenBack
  }

  /// Reads the head's fields, and takes out of it what no target may see.
  func read(_ octets: UnsafeRawBufferPointer, _ head: inout RequestHead) {
    fields.read(octets, head, plan)
    for line in fields.overrideLines { head.cut(line) }
  }

  /// The place of the request whose head was read last.
  func place(_ octets: UnsafeRawBufferPointer, _ head: RequestHead, of client: ClientConnection) -> Placement {
    var found = find(octets, head, client)
    var cookie: [UInt8]?
    if case .nowhere = found {
      switch plan.absent {
      case .stable: break
      case .clientAddress: found = address(octets, head, client)
      case .issue:
        cookie = plan.cookieLine(issue())
        found = .apart
      }
    }
    let override = override(octets)
    var placement: Placement
    switch found {
    case .nowhere: placement = Placement(traffic: traffic, side: plan.rule.sideWithoutKey(override: override), user: nil)
    case .inHead(let span): placement = place(octets.part(span), override)
    case .apart: placement = key.withUnsafeBytes { place($0, override) }
    }
    placement.cookie = cookie
    if fallenBack { placement.side = .stable }
    return placement
  }

  private func place(_ key: UnsafeRawBufferPointer, _ override: SplitRule.Side?) -> Placement {
    let hash = plan.rule.hash(key)
    return Placement(traffic: traffic, side: plan.rule.side(key, hash: hash, override: override), user: hash)
  }

  private func find(_ octets: UnsafeRawBufferPointer, _ head: RequestHead, _ client: ClientConnection) -> Found {
    let found = findSource(octets, head, client)
    guard case .nowhere = found, plan.absent == .issue, let issued = fields.cookie(plan.issuedName, octets) else { return found }
    return .inHead(issued)
  }

  private func findSource(_ octets: UnsafeRawBufferPointer, _ head: RequestHead, _ client: ClientConnection) -> Found {
    switch plan.source {
    case .cookie(let name): return fields.cookie(name, octets).map { .inHead($0) } ?? .nowhere
    case .field: return fields.named.map { .inHead($0) } ?? .nowhere
    case .query(let name): return QueryParameter.read(name, target: octets.part(head.target), into: &key) ? .apart : .nowhere
    case .claim(let name, let cookie):
      guard let token = token(octets, cookie: cookie) else { return .nowhere }
      return claim.read(name, token: token, into: &key) ? .apart : .nowhere
    case .clientAddress: return address(octets, head, client)
    }
  }

  private func token(_ octets: UnsafeRawBufferPointer, cookie: [UInt8]?) -> UnsafeRawBufferPointer? {
    if let cookie { return fields.cookie(cookie, octets).map(octets.part) }
    guard let field = fields.authorization.map(octets.part), let token = TokenClaim.bearer(field) else { return nil }
    return UnsafeRawBufferPointer(rebasing: field[token])
  }

  private func address(_ octets: UnsafeRawBufferPointer, _ head: RequestHead, _ client: ClientConnection) -> Found {
    if client.identity.trusted, let told = client.identity.toldAddress(octets, head.forwardedFor) {
      return .inHead(Span(start: told.start + octets.part(told).mappingPrefix, end: told.end))
    }
    key.removeAll(keepingCapacity: true)
    key.append(contentsOf: client.identity.address.utf8)
    key.removeFirst(key.withUnsafeBytes(\.mappingPrefix))
    return .apart
  }

  /// A new key in `key`: 128 random bits in hexadecimal digits, so no two users ever share one.
  private func issue() -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    key.removeAll(keepingCapacity: true)
    for _ in 0..<2 {
      let bits = random.next() as UInt64
      for shift in stride(from: 60, through: 0, by: -4) {
        let digit = UInt8(truncatingIfNeeded: bits >> UInt64(shift)) & 15
        key.append(digit < 10 ? 48 + digit : 87 + digit)
      }
    }
    return key
  }

  private func override(_ octets: UnsafeRawBufferPointer) -> SplitRule.Side? {
    guard let secret = plan.override?.secret, let field = fields.override.map(octets.part), let value = OverrideValue(field) else {
      return nil
    }
    return secret.matches(UnsafeRawBufferPointer(rebasing: field[value.secret])) ? value.side : nil
  }
}

extension UnsafeRawBufferPointer {
  /// How many octets stand before the IPv4 address of `::ffff:192.0.2.7`, which is how a listener for both kinds sees a client that another
  /// gateway sees as `192.0.2.7`: the same user; zero: it is another address.
  fileprivate var mappingPrefix: Int { count > 7 && holds("::ffff:", at: 0, 7) && contains(46) ? 7 : 0 }
}
