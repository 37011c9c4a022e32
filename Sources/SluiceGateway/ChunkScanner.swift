/// Finds the end of a chunked body without changing it (RFC 9112 section 7.1): sizes, extensions and trailers are checked, data is skipped.
package struct ChunkScanner {
  /// What comes next in the octets given.
  package enum Piece: Equatable {
    /// Data of a chunk.
    case data(Span)
    /// All octets are used up.
    case more
    /// The body has ended; the position is behind it.
    case end
    case bad
  }

  private enum State {
    case sizeStart
    case size
    case fieldExtension
    case sizeLineFeed
    case data
    case dataReturn
    case dataLineFeed
    case trailerStart
    case trailerName
    case trailerValue
    case trailerLineFeed
    case lastLineFeed
    case done
  }

  /// Octets of the extensions of one chunk, or of all trailers, that are passed on; extensions have no use here but to fill memory.
  package static let extensionLimit = 1_024
  package static let trailerLimit = 8_192

  private var state = State.sizeStart
  private var remaining = 0
  private var digits = 0
  private var extra = 0

  package init() {}

  /// Goes on from `at`, which moves past what is returned.
  @inline(__always)
  package mutating func next(_ octets: UnsafeRawBufferPointer, at: inout Int) -> Piece {
    while at < octets.count {
      if state == .data {
        let taken = min(remaining, octets.count - at)
        let span = Span(start: at, end: at + taken)
        at += taken
        remaining -= taken
        if remaining == 0 { state = .dataReturn }
        return .data(span)
      }
      guard step(octets[at]) else { return .bad }
      at += 1
      if state == .done { return .end }
    }
    return state == .done ? .end : .more
  }

  /// One octet outside of data; false when it may not stand there.
  private mutating func step(_ octet: UInt8) -> Bool {
    switch state {
    case .sizeStart, .size: return size(octet)
    case .fieldExtension:
      extra += 1
      if octet == Octet.carriageReturn { state = .sizeLineFeed } else { return Octet.isValue(octet) && extra <= Self.extensionLimit }
    case .sizeLineFeed:
      guard octet == Octet.lineFeed else { return false }
      extra = 0
      state = remaining == 0 ? .trailerStart : .data
    case .dataReturn:
      guard octet == Octet.carriageReturn else { return false }
      state = .dataLineFeed
    case .dataLineFeed:
      guard octet == Octet.lineFeed else { return false }
      state = .sizeStart
      digits = 0
    case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed: return trailer(octet)
    case .lastLineFeed:
      guard octet == Octet.lineFeed else { return false }
      state = .done
    case .data, .done: return false
    }
    return true
  }

  private mutating func size(_ octet: UInt8) -> Bool {
    if let digit = Octet.hexadecimal(octet) {
      digits += 1
      remaining = state == .sizeStart ? digit : remaining << 4 | digit
      state = .size
      // Fifteen digits: far more than any disk, and no overflow.
      return digits <= 15
    }
    guard state == .size else { return false }
    switch octet {
    case Octet.carriageReturn: state = .sizeLineFeed
    case 59: state = .fieldExtension
    default: return false
    }
    return true
  }

  private mutating func trailer(_ octet: UInt8) -> Bool {
    extra += 1
    guard extra <= Self.trailerLimit else { return false }
    switch state {
    case .trailerStart:
      if octet == Octet.carriageReturn {
        state = .lastLineFeed
        return true
      }
      guard Octet.isToken(octet) else { return false }
      state = .trailerName
    case .trailerName:
      if octet == Octet.colon { state = .trailerValue } else { return Octet.isToken(octet) }
    case .trailerValue:
      if octet == Octet.carriageReturn { state = .trailerLineFeed } else { return Octet.isValue(octet) }
    default:
      guard octet == Octet.lineFeed else { return false }
      state = .trailerStart
    }
    return true
  }
}
