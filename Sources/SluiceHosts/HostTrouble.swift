internal import SluiceEngine
internal import SluiceRollout
internal import SluiceSSH

/// Why a script brought no answer, or a bad one.
enum HostTrouble: Error {
  /// The host answered, or cannot be used as it is: asking again would fail again.
  case failed(Failure)
  /// Nothing was sent.
  case unreachable(String)
  /// Nothing was sent: the host cannot be logged in to, and a person has to see to that.
  case shut(Failure)
  /// It was sent, and what became of it is unknown.
  case inDoubt(String)

  init(_ error: any Error) {
    switch error {
    case let trouble as HostTrouble: self = trouble
    case let error as SSHError: self.init(ssh: error)
    case is CancellationError: self = .inDoubt("it was cancelled while the host worked on it")
    default: self = .inDoubt("\(error)")
    }
  }

  private init(ssh error: SSHError) {
    switch error.step {
    // A host that cannot be logged in to is as good as one that is off: nothing was done there, and what can go on goes on without it.
    case .hostKey, .auth:
      self = .shut(Failure(.host, "\(error.host): \(error.step.rawValue): \(error.cause)", remedy: error.remedy ?? ""))
    case .resolve, .connect: self = .unreachable(error.description)
    case .channel, .exec, .forward, .timeout, .lost:
      if error.inDoubt {
        self = .inDoubt(error.description)
      } else if [.tooManySessions, .channelRefused, .commandRefused, .inputUnreadable, .outputTooLarge, .commandTooLong].contains(
        error.code)
      {
        self = .failed(Failure(.host, "\(error.host): \(error.step.rawValue): \(error.cause)", remedy: error.remedy ?? ""))
      } else {
        self = .unreachable(error.description)
      }
    }
  }

  var result: AttemptResult {
    switch self {
    case .failed(let failure): .failed(failure)
    case .unreachable(let why): .unreachable(why)
    case .shut(let failure): .unreachable(failure.message + (failure.remedy.isEmpty ? "" : ". \(failure.remedy)"))
    case .inDoubt(let why): .inDoubt(why)
    }
  }

  func claimAnswer<Seen>(_ type: Seen.Type = Seen.self) -> ClaimAnswer<Seen> {
    switch self {
    case .failed(let failure), .shut(let failure): .failed(failure)
    case .unreachable(let why), .inDoubt(let why): .unreachable(why)
    }
  }
}
