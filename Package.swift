// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .treatAllWarnings(as: .error),
]

let nio = "swift-nio"
let nioCore: [Target.Dependency] = [
  .product(name: "NIOCore", package: nio), .product(name: "NIOPosix", package: nio),
]

/// A library target. Arrows only point downwards: DESIGN section 2, and `ArchitectureTests` holds the list of what each may import.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice", targets: ["sluice"]),
    .executable(name: "sluice-gateway", targets: ["sluice-gateway"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2"),
  ],
  targets: [
    // Pure: no clock, file, socket or random number.
    library("SluiceModel"),
    library("SluiceTraffic", ["SluiceModel"]),
    library("SluiceGatewayAPI", ["SluiceModel", "SluiceTraffic"]),
    library("SluiceManifest", ["SluiceModel", "SluiceTraffic", .product(name: "Yams", package: "Yams")]),
    library("SluiceRollout", ["SluiceModel", "SluiceTraffic"]),
    library("SluiceEngine", ["SluiceModel", "SluiceRollout"]),
    library("SluiceSimulator", ["SluiceModel", "SluiceRollout", "SluiceEngine"]),
    .executableTarget(
      name: "sluice-simulate", dependencies: ["SluiceSimulator", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: settings),

    .executableTarget(
      name: "sluice-bench",
      dependencies: [
        "SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // What touches the world, each behind a port of the engine.
    .systemLibrary(name: "CLibSSH2", pkgConfig: "libssh2", providers: [.apt(["libssh2-1-dev"])]),
    library("SluiceSSH", ["CLibSSH2", .product(name: "Crypto", package: "swift-crypto")] + nioCore),
    library(
      "SluiceHosts",
      ["SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceSSH", .product(name: "Crypto", package: "swift-crypto")] + nioCore),
    library(
      "SluiceLocal",
      [
        "SluiceModel", "SluiceRollout", "SluiceEngine", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Subprocess", package: "swift-subprocess"),
      ]),
    tests("SluiceLocalTests", ["SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceLocal", "PortContracts"]),
    library(
      "SluiceGatewayControl",
      ["SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "SluiceGatewayAPI", "SluiceSSH"] + nioCore),
    tests(
      "SluiceGatewayControlTests",
      [
        "SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "SluiceGatewayAPI", "SluiceGateway", "SluiceGatewayControl",
        "SluiceManifest", "PortContracts",
      ] + nioCore),
    library("SluiceStore", ["SluiceModel", "SluiceRollout", "SluiceEngine", .product(name: "GRDB", package: "GRDB.swift")]),
    tests(
      "SluiceStoreTests",
      ["SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceStore", "PortContracts", .product(name: "GRDB", package: "GRDB.swift")]),

    .executableTarget(
      name: "sluice",
      dependencies: [
        "SluiceModel", "SluiceManifest", "SluiceRollout", "SluiceEngine", "SluiceHosts", "SluiceLocal", "SluiceGatewayAPI",
        "SluiceGatewayControl", "SluiceSSH", "SluiceStore", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ] + nioCore,
      swiftSettings: settings),

    // The data plane.
    .target(name: "CSluiceSystem"),
    library(
      "SluiceGateway",
      ["SluiceModel", "SluiceTraffic", "SluiceGatewayAPI", "CSluiceSystem", .product(name: "Crypto", package: "swift-crypto")] + nioCore),
    // Fully static, so that it runs on any host of its architecture: the flag is needed in both settings. And stripped.
    .executableTarget(
      name: "sluice-gateway", dependencies: ["SluiceGateway"],
      swiftSettings: settings + [.unsafeFlags(["-static-executable"])],
      linkerSettings: [.unsafeFlags(["-static-executable", "-Xlinker", "-s"])]),
    // Static for the same reason: tests put it on hosts that have nothing installed.
    .executableTarget(
      name: "sluice-sample",
      dependencies: [.product(name: "NIOHTTP1", package: nio), .product(name: "NIOWebSocket", package: nio)] + nioCore,
      swiftSettings: settings + [.unsafeFlags(["-static-executable"])],
      linkerSettings: [.unsafeFlags(["-static-executable", "-Xlinker", "-s"])]),
    library("SluiceLoad", nioCore),
    .executableTarget(
      name: "sluice-load",
      dependencies: ["SluiceLoad", .product(name: "ArgumentParser", package: "swift-argument-parser")] + nioCore, swiftSettings: settings),
    tests("SluiceSSHTests", ["SluiceSSH"] + nioCore),
    tests("SluiceLoadTests", ["SluiceLoad"] + nioCore),
    // What the engine relies on from its ports: kept by the real adapters and by the simulated ones.
    .target(
      name: "PortContracts", dependencies: ["SluiceModel", "SluiceRollout", "SluiceEngine"], path: "Tests/PortContracts",
      swiftSettings: settings),
    tests("SluiceHostsTests", ["SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceSSH", "SluiceHosts", "PortContracts"] + nioCore),
    .testTarget(
      name: "SluiceTrafficTests", dependencies: ["SluiceModel", "SluiceTraffic"], exclude: ["Vectors"], swiftSettings: settings),
    .testTarget(
      name: "SluiceManifestTests", dependencies: ["SluiceManifest", "SluiceModel", "SluiceRollout", "SluiceEngine"],
      exclude: ["Golden", "StrategyPlans"], swiftSettings: settings),
    tests(
      "SluiceGatewayTests",
      ["SluiceModel", "SluiceTraffic", "SluiceGatewayAPI", "SluiceGateway", .product(name: "Crypto", package: "swift-crypto")] + nioCore),
    tests("SluiceRolloutTests", ["SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "sluice-bench"]),
    .testTarget(
      name: "SluiceEngineTests", dependencies: ["SluiceModel", "SluiceRollout", "SluiceEngine"], exclude: ["Golden"],
      swiftSettings: settings),
    tests("SluiceSimulatorTests", ["SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceSimulator", "PortContracts"]),
    // The structure itself: who may import what, and what no pure target may touch.
    tests("ArchitectureTests", []),
    // From outside: the built programs on real hosts.
    .testTarget(
      name: "EndToEndTests", dependencies: [.product(name: "GRDB", package: "GRDB.swift")], exclude: ["Fixtures"], swiftSettings: settings),
  ]
)
