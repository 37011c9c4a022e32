import ArgumentParser
import Foundation
import Glibc
import SluiceManifest
import SluiceModel
import SluiceStore

/// What a command works on: the fleet and gateways, from manifests or as last applied, and the services that the manifests declare.
struct Workspace {
  let fleet: Fleet
  let gateways: [Gateway]
  let services: [ServiceManifest]
  let directory: StateDirectory
  /// Whether manifests were given: then they replace what the state knows of the fleet.
  let hasManifests: Bool

  /// Reads manifests, prints every diagnostic; throws the usage code when one is an error, or when nothing tells which fleet is meant.
  static func load(_ options: CommonOptions, _ console: Console = Console()) throws -> Workspace {
    if options.files.isEmpty { return try stored(options, console) }
    let manifests = try read(options.files, console, onError: ExitStatus.usage)
    let named = manifests.fleets.filter { options.fleet == nil || $0.name.rawValue == options.fleet }
    guard let fleet = named.first, named.count == 1 else {
      console.complain(
        named.isEmpty
          ? "the manifests declare no such fleet"
          : "the manifests declare several fleets: \(named.map(\.name.rawValue).joined(separator: ", "))",
        remedy: "say --fleet NAME")
      throw ExitStatus.usage
    }
    return Workspace(
      fleet: fleet, gateways: manifests.gateways.filter { $0.fleet == fleet.name },
      services: manifests.services.filter { $0.policy.fleet == fleet.name }, directory: options.stateDirectory, hasManifests: true)
  }

  static func read(_ files: [String], _ console: Console, onError code: ExitCode) throws -> Manifests {
    let result = ManifestReader.read(paths: files)
    for diagnostic in result.diagnostics { console.say(diagnostic.rendered(color: console.colors)) }
    guard let manifests = result.manifests else {
      console.say("\(result.errors.count) error\(result.errors.count == 1 ? "" : "s"), \(result.warnings.count) warnings: nothing was done")
      throw code
    }
    return manifests
  }

  private static func stored(_ options: CommonOptions, _ console: Console) throws -> Workspace {
    let directory = options.stateDirectory
    let fleets = known(in: directory)
    guard let name = options.fleet.map({ FleetName($0) }) ?? (fleets.count == 1 ? fleets[0] : nil), fleets.contains(name) else {
      console.complain(
        fleets.isEmpty
          ? "no fleet is known in \(directory.path)"
          : "\(directory.path) knows several fleets: \(fleets.map(\.rawValue).joined(separator: ", "))",
        remedy: fleets.isEmpty ? "say -f PATH with the manifests; sluice adopt -f PATH reads back what runs" : "say --fleet NAME")
      throw ExitStatus.usage
    }
    let store = try SQLiteStore(directory: directory.path, fleet: name, readOnly: true)
    guard let definitions = try store.definitions() else {
      console.complain("the state in \(directory.path) holds no definition of fleet \(name)", remedy: "say -f PATH with the manifests")
      throw ExitStatus.usage
    }
    return Workspace(fleet: definitions.fleet, gateways: definitions.gateways, services: [], directory: directory, hasManifests: false)
  }

  private static func known(in directory: StateDirectory) -> [FleetName] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
    return entries.filter { $0.hasSuffix(".sqlite") }.map { FleetName(String($0.dropLast(7))) }.sorted()
  }

  /// The state, for reading. nil when nothing was ever applied.
  func reader() throws -> SQLiteStore? {
    do { return try SQLiteStore(directory: directory.path, fleet: fleet.name, readOnly: true) } catch let error as StoreError
      where error.code == .notYet
    {
      return nil
    }
  }
}
