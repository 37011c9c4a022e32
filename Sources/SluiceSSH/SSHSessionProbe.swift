/// Opens sessions until the server refuses one, and closes them again.
final class SSHSessionProbe {
  private let most: Int
  private var open: [LibSSH2Channel] = []
  private var isClosing = false
  private(set) var count = 0

  init(most: Int) { self.most = most }

  func step(_ library: LibSSH2Session) -> SSHSerialOperation.Progress {
    while !isClosing {
      if open.count == most { isClosing = true }
      guard !isClosing else { break }
      switch library.openChannel(type: "session") {
      case .again: return .again
      case .done(let channel): open.append(channel)
      case .failed(let failure):
        if failure.endsSession { return .endsSession(failure) }
        isClosing = true
      }
    }
    count = max(count, open.count)
    while let last = open.last {
      if case .again = library.free(last) { return .again }
      open.removeLast()
    }
    return .finished
  }
}
