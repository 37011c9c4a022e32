import Glibc
package import SluiceGatewayAPI

/// What `sluice-gateway` does with its arguments. Read by hand: the argument parser of the tools would bring in all of Foundation.
package enum GatewayCommand {
  static let usage = """
    usage: sluice-gateway run --config FILE
           sluice-gateway bridge --socket PATH
           sluice-gateway --version

    """

  /// Runs the command and gives its exit status: 0 done, 1 failed, 64 bad usage.
  package static func main(_ arguments: [String]) -> Int32 {
    switch arguments.first {
    case "--version" where arguments.count == 1:
      say("sluice-gateway \(gatewayVersion)\n", to: STDOUT_FILENO)
      return 0
    case "run" where arguments.count == 3 && arguments[1] == "--config": return report { try run(arguments[2]) }
    case "bridge" where arguments.count == 3 && arguments[1] == "--socket":
      signal(SIGPIPE, SIG_IGN)
      return report { try StdioBridge.run(socket: arguments[2]) }
    default:
      say(usage, to: STDERR_FILENO)
      return 64
    }
  }

  private static func report(_ body: () throws -> Void) -> Int32 {
    do {
      try body()
      return 0
    } catch {
      say("sluice-gateway: \(error)\n", to: STDERR_FILENO)
      return 1
    }
  }

  private static func run(_ path: String) throws {
    signal(SIGPIPE, SIG_IGN)
    // Blocked before any thread exists, so that all inherit it and only this one takes them.
    var ends = sigset_t()
    sigemptyset(&ends)
    sigaddset(&ends, SIGTERM)
    sigaddset(&ends, SIGINT)
    pthread_sigmask(SIG_BLOCK, &ends, nil)
    raiseDescriptorLimit()
    let configuration = try readConfiguration(path)
    let gateway = try GatewayProcess(configuration) { line in say("sluice-gateway: \(line)\n", to: STDERR_FILENO) }
    let places = gateway.addresses.map { authorityText(address: $0.address, port: $0.port) }.joined(separator: ", ")
    say("sluice-gateway \(gatewayVersion): listening on \(places), admin on \(configuration.adminSocket)\n", to: STDERR_FILENO)
    var caught: Int32 = 0
    while sigwait(&ends, &caught) != 0 {}
    say("sluice-gateway: ending\n", to: STDERR_FILENO)
    try gateway.stop()
  }

  /// Reads and checks a configuration file.
  package static func readConfiguration(_ path: String) throws -> GatewayConfiguration {
    let octets = try contents(path)
    do {
      var unknown = try AdminJSON.decode(KeyList.self, octets).names.filter { !known.contains($0) }
      let limits = try AdminJSON.decode(LimitKeys.self, octets).limits?.names ?? []
      unknown += limits.filter { !knownLimits.contains($0) }.map { "limits.\($0)" }
      guard unknown.isEmpty else { throw ConfigurationFailure(description: "unknown keys: \(unknown.sorted().joined(separator: ", "))") }
      return try AdminJSON.decode(GatewayConfiguration.self, octets)
    } catch let error as DecodingError {
      throw ConfigurationFailure(description: "\(path): \(AdminAPI.text(error))")
    } catch let error as ConfigurationFailure {
      throw ConfigurationFailure(description: "\(path): \(error.description)")
    }
  }

  private static let known = ["listen", "adminSocket", "stateDirectory", "trustedProxies", "health", "loops", "finish", "limits"]

  private static let knownLimits = ["head", "fields", "target", "options", "connections", "headTime", "keepAlive"]

  private struct LimitKeys: Decodable {
    var limits: KeyList?
  }

  private struct ConfigurationFailure: Error, CustomStringConvertible {
    var description: String
  }

  /// The keys of an object, whatever they are.
  private struct KeyList: Decodable {
    struct AnyKey: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    var names: [String]

    init(from decoder: any Decoder) throws {
      names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    }
  }

  private static func contents(_ path: String) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw ConfigurationFailure(description: "cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(file, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw ConfigurationFailure(description: "cannot read \(path): \(String(cString: strerror(errno)))") }
      if count == 0 { return octets }
      octets.append(contentsOf: piece[..<count])
    }
  }

  /// Each client costs a descriptor or two; the soft limit of most systems is 1 024.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private static func say(_ text: String, to descriptor: Int32) {
    let octets = Array(text.utf8)
    var written = 0
    while written < octets.count {
      let count = octets.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, octets.count - written) }
      if count < 0, errno == EINTR { continue }
      // There is nowhere to say that nothing can be said.
      guard count > 0 else { return }
      written += count
    }
  }
}
