/// What one release runs, and how it is asked whether it is ready: immutable, and all that the release's digest covers. Secrets are named here, never valued.
package struct ReleaseSpec: Hashable, Codable, Sendable {
  /// SHA-256 of the packed artifact (gzip-compressed tar).
  package var artifact: Digest
  package var run: RunSpec
  /// Rendered config files, unpacked over the artifact.
  package var config: [ConfigFile]
  package var readiness: ReadinessCheck
  package var stop: StopSpec
  package var task: ReleaseTask?

  package init(
    artifact: Digest, run: RunSpec, config: [ConfigFile] = [], readiness: ReadinessCheck, stop: StopSpec = StopSpec(),
    task: ReleaseTask? = nil
  ) {
    self.artifact = artifact
    self.run = run
    self.config = config
    self.readiness = readiness
    self.stop = stop
    self.task = task
  }
}

/// A config file that belongs to the release.
package struct ConfigFile: Hashable, Codable, Sendable {
  /// Below the release's directory.
  package var path: String
  package var digest: Digest

  package init(path: String, digest: Digest) {
    self.path = path
    self.digest = digest
  }
}

/// What keeps an instance running.
package enum RuntimeKind: String, Codable, Sendable, CaseIterable {
  /// systemd where it is PID 1 and Sluice may use it, otherwise process.
  case auto
  case systemd
  case process
}

/// The command of an instance and its surroundings.
package struct RunSpec: Hashable, Codable, Sendable {
  package var runtime: RuntimeKind
  /// Program and arguments; `${ADDRESS}`, `${PORT}`, `${INSTANCE}` and `${RELEASE}` are replaced. A relative program is below the release's directory.
  package var command: [String]
  package var env: [String: String]
  /// Names of the environment variables whose values are secrets of the service.
  package var secrets: [String]
  package var limits: Limits
  package var user: String?

  package init(
    runtime: RuntimeKind = .auto, command: [String], env: [String: String] = [:], secrets: [String] = [], limits: Limits = Limits(),
    user: String? = nil
  ) {
    self.runtime = runtime
    self.command = command
    self.env = env
    self.secrets = secrets
    self.limits = limits
    self.user = user
  }
}

/// Upper bounds of one instance; nil is unbounded.
package struct Limits: Hashable, Codable, Sendable {
  package var memoryBytes: Int64?
  /// Share of one CPU: 50 % is 5 000, 200 % is 20 000.
  package var cpuBasisPoints: Int?

  package init(memoryBytes: Int64? = nil, cpuBasisPoints: Int? = nil) {
    self.memoryBytes = memoryBytes
    self.cpuBasisPoints = cpuBasisPoints
  }
}

/// How an instance is asked whether it can serve.
package struct ReadinessCheck: Hashable, Codable, Sendable {
  package enum Probe: Hashable, Codable, Sendable {
    /// `GET path`, expecting exactly this status; `host` in the place of the instance's address and port, and `headers` beside what is always
    /// sent. Left out where they are not given, so that a release without them keeps its digest.
    case http(path: String, status: Int, host: String? = nil, headers: [String: String]? = nil)
    case tcp
    /// Runs on the host, in the release's directory; ready when it exits 0.
    case exec(command: [String])
  }

  package var probe: Probe
  package var interval: Milliseconds
  package var timeout: Milliseconds
  /// Successes in a row until it counts as healthy.
  package var rise: Int
  /// Failures in a row until it counts as unhealthy.
  package var fall: Int

  package init(
    probe: Probe, interval: Milliseconds = .seconds(1), timeout: Milliseconds = .seconds(1), rise: Int = 2, fall: Int = 3
  ) {
    self.probe = probe
    self.interval = interval
    self.timeout = timeout
    self.rise = rise
    self.fall = fall
  }
}

/// How an instance is stopped, once no request is on it.
package struct StopSpec: Hashable, Codable, Sendable {
  /// Runs on the host before the signal.
  package var preStop: [String]?
  /// Without `SIG`: `TERM`, `INT`, `QUIT` …
  package var signal: String
  /// From the signal to SIGKILL.
  package var killAfter: Milliseconds

  package init(preStop: [String]? = nil, signal: String = "TERM", killAfter: Milliseconds = .seconds(10)) {
    self.preStop = preStop
    self.signal = signal
    self.killAfter = killAfter
  }
}
