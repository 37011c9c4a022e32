/// How long one command may take and how much it may say.
package struct SSHLimits: Sendable, Hashable {
  /// From the moment the command is handed over (waiting for a free channel included) to its end; nil waits for ever.
  package var timeout: Duration?
  /// Longest time without a byte in either direction while the command runs; nil waits for ever.
  package var silence: Duration?
  /// From the moment the host has taken the command to its first byte of output, for commands that say something at once; nil waits for ever.
  package var start: Duration?
  /// Bytes kept of stdout and of stderr, each. A command that says more fails with `.outputTooLarge`.
  package var maxOutput: Int

  package init(timeout: Duration? = .seconds(600), silence: Duration? = nil, start: Duration? = nil, maxOutput: Int = 64 << 20) {
    self.timeout = timeout
    self.silence = silence
    self.start = start
    self.maxOutput = maxOutput
  }

  /// Neither time nor silence is limited: for `logs -f` and bridges.
  package static let none = SSHLimits(timeout: nil, silence: nil)
}

/// How to connect. One value serves a whole fleet.
package struct SSHOptions: Sendable {
  /// For name look-up, TCP and the server's first line, each try.
  package var connectTimeout: Duration
  /// For key exchange, host key and authentication together.
  package var authTimeout: Duration
  /// What `execute` uses where a call names no limits of its own.
  package var limits: SSHLimits
  /// Tries in all for a connect that failed in a way that may pass (refused, unreachable, no answer, MaxStartups). Nothing else is ever retried.
  package var connectAttempts: Int
  /// Pause before the second try; it doubles, with jitter of half to one and a half.
  package var retryDelay: Duration
  /// Key exchanges that one event loop works on at once; the rest waits its turn.
  package var handshakesPerLoop: Int
  /// A connection without input for this long is asked for a sign of life, and given up after three times that; nil never asks.
  package var keepAlive: Duration?
  /// Asked for the passphrase of an encrypted key file (its path is passed) when its turn comes and no agent holds the key; nil result skips the key.
  /// May be asked by several connections at once: the caller remembers answers and asks a person once.
  package var passphrase: (@Sendable (_ path: String) async -> String?)?
  /// Whether keys learnt under `acceptNew` are written with hashed names.
  package var hashKnownHosts: Bool

  package init(
    connectTimeout: Duration = .seconds(10), authTimeout: Duration = .seconds(30), limits: SSHLimits = SSHLimits(),
    connectAttempts: Int = 3, retryDelay: Duration = .milliseconds(250), handshakesPerLoop: Int = 16, keepAlive: Duration? = .seconds(15),
    passphrase: (@Sendable (_ path: String) async -> String?)? = nil, hashKnownHosts: Bool = false
  ) {
    self.connectTimeout = connectTimeout
    self.authTimeout = authTimeout
    self.limits = limits
    self.connectAttempts = max(1, connectAttempts)
    self.retryDelay = retryDelay
    self.handshakesPerLoop = max(1, handshakesPerLoop)
    self.keepAlive = keepAlive
    self.passphrase = passphrase
    self.hashKnownHosts = hashKnownHosts
  }
}
