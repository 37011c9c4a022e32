import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

/// What a configuration file may say: what would crash or be meaningless is refused by its key.
@Suite struct ConfigurationTests {
  static let sound = GatewayConfiguration(
    listen: [.init(address: "127.0.0.1", port: 0)], adminSocket: "/run/admin.sock", stateDirectory: "/var/lib/state",
    trustedProxies: ["10.0.0.0/8"], health: .init(address: "::1", port: 65_535), loops: 256, finish: .zero, limits: .init())

  static let slips: [Breaking<GatewayConfiguration>] = [
    Breaking("listen names no address") { $0.listen = [] },
    Breaking("listen[0]: port 99999 is not 0 to 65535") { $0.listen[0].port = 99_999 },
    Breaking("listen[0]: port -1 is not 0 to 65535") { $0.listen[0].port = -1 },
    Breaking("health: port 65536") { $0.health?.port = 65_536 },
    Breaking("listen[0]: \"localhost\" is no numeric address") { $0.listen[0].address = "localhost" },
    Breaking("trustedProxies: ten is no network") { $0.trustedProxies = ["ten"] },
    Breaking("stateDirectory is empty") { $0.stateDirectory = "" },
    Breaking("adminSocket is empty") { $0.adminSocket = "" },
    Breaking("adminSocket has 108 bytes") { $0.adminSocket = "/" + String(repeating: "x", count: 107) },
    Breaking("loops is 0: it must be 1 to 256") { $0.loops = 0 },
    Breaking("loops is 100000") { $0.loops = 100_000 },
    Breaking("finish is -5ms: it must be 0s to 8784h") { $0.finish = Milliseconds(-5) },
    Breaking("finish is") { $0.finish = Milliseconds(.max) },
    Breaking("limits.head is -1: it must be 1024 to 1048576") { $0.limits?.head = -1 },
    Breaking("limits.fields is 0") { $0.limits?.fields = 0 },
    Breaking("limits.target is 40000: it must be 64 to 32768") { $0.limits?.target = 40_000 },
    Breaking("limits.headTime is 0s") { $0.limits?.headTime = .zero },
    Breaking("limits.keepAlive is -1s") { $0.limits?.keepAlive = .seconds(-1) },
  ]

  @Test func `the bounds themselves are taken`() { #expect(Self.sound.problem == nil) }

  @Test(arguments: slips)
  func `a slip is refused by its key, before anything is opened`(_ slip: Breaking<GatewayConfiguration>) throws {
    var configuration = Self.sound
    slip.change(&configuration)
    let failure = #expect(throws: GatewayProcess.StartFailure.self) { _ = try GatewayProcess(configuration) { _ in } }
    #expect(try #require(failure).description.contains(slip.words), "\(String(describing: failure))")
  }
}
