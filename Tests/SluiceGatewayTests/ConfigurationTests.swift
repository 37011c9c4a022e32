import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

/// What a configuration file may say: what would crash or be meaningless is refused by its key.
@Suite struct ConfigurationTests {
  static let sound = GatewayConfiguration(
    listen: [.init(address: "127.0.0.1", port: 0)], adminSocket: "/run/admin.sock", stateDirectory: "/var/lib/state",
    trustedProxies: ["10.0.0.0/8"], health: .init(address: "::1", port: 65_535), loops: 256, finish: .zero, limits: .init())

  struct Slip: Sendable, CustomTestStringConvertible {
    var words: String
    var change: @Sendable (inout GatewayConfiguration) -> Void
    var testDescription: String { words }

    init(_ words: String, _ change: @escaping @Sendable (inout GatewayConfiguration) -> Void) {
      self.words = words
      self.change = change
    }
  }

  static let slips: [Slip] = [
    Slip("listen names no address") { $0.listen = [] },
    Slip("listen[0]: port 99999 is not 0 to 65535") { $0.listen[0].port = 99_999 },
    Slip("listen[0]: port -1 is not 0 to 65535") { $0.listen[0].port = -1 },
    Slip("health: port 65536") { $0.health?.port = 65_536 },
    Slip("listen[0]: \"localhost\" is no numeric address") { $0.listen[0].address = "localhost" },
    Slip("trustedProxies: ten is no network") { $0.trustedProxies = ["ten"] },
    Slip("stateDirectory is empty") { $0.stateDirectory = "" },
    Slip("adminSocket is empty") { $0.adminSocket = "" },
    Slip("adminSocket has 108 bytes") { $0.adminSocket = "/" + String(repeating: "x", count: 107) },
    Slip("loops is 0: it must be 1 to 256") { $0.loops = 0 },
    Slip("loops is 100000") { $0.loops = 100_000 },
    Slip("finish is -5ms: it must be 0s to 8784h") { $0.finish = Milliseconds(-5) },
    Slip("finish is") { $0.finish = Milliseconds(.max) },
    Slip("limits.head is -1: it must be 1024 to 1048576") { $0.limits?.head = -1 },
    Slip("limits.fields is 0") { $0.limits?.fields = 0 },
    Slip("limits.target is 40000: it must be 64 to 32768") { $0.limits?.target = 40_000 },
    Slip("limits.headTime is 0s") { $0.limits?.headTime = .zero },
    Slip("limits.keepAlive is -1s") { $0.limits?.keepAlive = .seconds(-1) },
  ]

  @Test func `the bounds themselves are taken`() { #expect(Self.sound.problem == nil) }

  @Test(arguments: slips)
  func `a slip is refused by its key, before anything is opened`(_ slip: Slip) throws {
    var configuration = Self.sound
    slip.change(&configuration)
    let failure = #expect(throws: GatewayProcess.StartFailure.self) { _ = try GatewayProcess(configuration) { _ in } }
    #expect(try #require(failure).description.contains(slip.words), "\(String(describing: failure))")
  }
}
