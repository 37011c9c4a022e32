import ArgumentParser
import Foundation
import Glibc
import SluiceEngine
import SluiceLocal
import SluiceManifest
import SluiceModel
import SluiceRollout
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
      tellFleets(options.fleet, manifests.fleets.map(\.name.rawValue), in: "the manifests", console)
      throw ExitStatus.usage
    }
    return Workspace(
      fleet: fleet, gateways: manifests.gateways.filter { $0.fleet == fleet.name },
      services: manifests.services.filter { $0.policy.fleet == fleet.name }, directory: options.stateDirectory, hasManifests: true)
  }

  /// Where the diagnostics are what was asked for (`asResult`), they go to standard output.
  static func read(_ files: [String], _ console: Console, onError code: ExitCode, asResult: Bool = false) throws -> Manifests {
    let result = ManifestReader.read(paths: files)
    let tell = asResult ? console.result : console.say
    for diagnostic in result.diagnostics {
      tell(console.admitted(diagnostic.rendered(color: asResult ? console.drawsResults : console.colors)))
    }
    guard let manifests = result.manifests else {
      let errors = "\(result.errors.count) error\(result.errors.count == 1 ? "" : "s")"
      let warnings = "\(result.warnings.count) warning\(result.warnings.count == 1 ? "" : "s")"
      tell("\(errors), \(warnings)\(asResult ? "" : ": nothing was done")")
      throw code
    }
    return manifests
  }

  private static func stored(_ options: CommonOptions, _ console: Console) throws -> Workspace {
    let directory = options.stateDirectory
    let fleets = known(in: directory)
    guard let name = options.fleet.map({ FleetName($0) }) ?? (fleets.count == 1 ? fleets[0] : nil), fleets.contains(name) else {
      tellFleets(options.fleet, fleets.map(\.rawValue), in: directory.path, console)
      throw ExitStatus.usage
    }
    let store = try SQLiteStore(directory: directory.path, fleet: name, readOnly: true)
    guard let definitions = try store.definitions() else {
      console.complain("the state in \(directory.path) holds no definition of fleet \(name)", remedy: "say -f PATH with the manifests")
      throw ExitStatus.usage
    }
    return Workspace(fleet: definitions.fleet, gateways: definitions.gateways, services: [], directory: directory, hasManifests: false)
  }

  /// Why none of the fleets is the one that is meant.
  private static func tellFleets(_ asked: String?, _ fleets: [String], in place: String, _ console: Console) {
    let list = fleets.joined(separator: ", ")
    if fleets.isEmpty {
      console.complain(
        "no fleet is known in \(place)", remedy: "say -f PATH with the manifests; sluice adopt -f PATH reads back what runs")
    } else if let asked {
      let near = NearestName.of(asked, in: fleets)
      console.complain(
        "there is no fleet \(asked) in \(place)",
        remedy: near.map { "did you mean --fleet \($0)?" } ?? "there \(fleets.count == 1 ? "is" : "are") \(list)")
    } else {
      console.complain("\(place) knows several fleets: \(list)", remedy: "say --fleet NAME")
    }
  }

  private static func known(in directory: StateDirectory) -> [FleetName] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
    return entries.filter { $0.hasSuffix(".sqlite") }.map { FleetName(String($0.dropLast(7))) }.sorted()
  }

  /// Removes packed artifacts that no release of any fleet in this state directory needs. Where one of them cannot be read, nothing is removed.
  func pruneArtifacts() {
    var kept: Set<Digest> = []
    for name in Self.known(in: directory) {
      guard let store = try? SQLiteStore(directory: directory.path, fleet: name, readOnly: true), let stored = try? store.load(name) else {
        return
      }
      for record in stored.records { kept.formUnion(record.releases.map(\.spec.artifact)) }
    }
    ArtifactPacker(cacheDirectory: directory.artifacts).prune(keeping: kept)
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
