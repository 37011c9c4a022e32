/// What went wrong between here and a host, at which step, why, and what to do.
///
/// Callers tell errors apart by `code`, and ask `inDoubt` whether the remote command may have run, or may be running still.
package struct SSHError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Where on the way to a finished command it went wrong.
  package enum Step: String, Sendable, Hashable {
    case resolve, connect
    case hostKey = "host key"
    case auth, channel, exec, forward, timeout, lost
  }

  package enum Code: String, Sendable, Hashable {
    // resolve
    case nameNotFound, badConfiguration
    // connect
    case refused, unreachable, noAnswer, notSSH, tooManyStartups, noCommonAlgorithm, handshakeFailed
    // host key; `hostKey` holds what the host showed
    case hostKeyUnknown, hostKeyChanged, hostKeyRevoked, knownHostsUnreadable
    // auth
    case noIdentity, authRefused, agentFailed
    // channel, exec
    case tooManySessions, channelRefused, commandRefused, commandTooLong, outputTooLarge, inputUnreadable
    // forward
    case forwardingForbidden, forwardRefused
    // timeout
    case authTimeout, commandTimeout, silence
    /// The login shell did not run the command.
    case noStart
    /// The connection went away under the operation. With `inDoubt` the command may have run.
    case lost
    /// This side closed the connection or the channel.
    case closed
  }

  package var step: Step
  package var code: Code
  /// What the operator calls the host.
  package var host: String
  /// What happened and why, as one sentence without a full stop.
  package var cause: String
  /// What to do next.
  package var remedy: String?
  /// The command may have run in part or whole, or may run still: look before you repeat it.
  package var inDoubt: Bool
  /// The key that the host showed, for the host key codes.
  package var hostKey: SSHHostKey?

  package init(
    _ step: Step, _ code: Code, host: String, cause: String, remedy: String? = nil, inDoubt: Bool = false, hostKey: SSHHostKey? = nil
  ) {
    self.step = step
    self.code = code
    self.host = host
    self.cause = cause
    self.remedy = remedy
    self.inDoubt = inDoubt
    self.hostKey = hostKey
  }

  package var description: String {
    var text = "\(host): \(step.rawValue): \(cause)"
    if inDoubt { text += "; whether the command ran is in doubt" }
    if let remedy { text += ". \(remedy)" }
    return text
  }
}
