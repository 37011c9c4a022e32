import Foundation
import SluiceModel

/// Whether the files of this machine exist that services will need: hooks, commands of checks, and what secrets are read from.
struct FileChecks {
  private let declarations: Declarations
  private let report: Report

  init(_ declarations: Declarations, _ report: Report) {
    self.declarations = declarations
    self.report = report
  }

  /// Adds what it finds to the report: warnings, as another machine may be the one that applies.
  func run() {
    for service in declarations.services {
      let base = service.value.baseDirectory
      for point in HookPoint.allCases {
        guard let path = service.value.policy.hooks[point] else { continue }
        let place = service.document.place("spec.hooks.\(point.rawValue)")
        if missing(path, base) {
          report.warning(.fileMissing, "the hook `\(path)` does not exist", at: place, suggestion: looked(path, base))
        } else if !FileManager.default.isExecutableFile(atPath: absolute(path, base)) {
          report.warning(
            .fileMissing, "the hook `\(path)` cannot be executed", at: place, suggestion: "make it so: chmod +x \(absolute(path, base))")
        }
      }
      for check in service.value.policy.strategy.checks {
        guard case .command(let words, _) = check.kind, let program = words.first, program.contains("/"), missing(program, base) else {
          continue
        }
        report.warning(
          .fileMissing, "the command of check `\(check.name)` does not exist", at: service.document.place("spec.strategy"),
          suggestion: looked(program, base))
      }
      for (name, source) in service.value.secretSources.sorted(by: { $0.key < $1.key }) {
        switch source {
        case .file(let path) where missing(path, base):
          report.warning(
            .fileMissing, "the file of secret `\(name)` does not exist",
            at: service.document.place("spec.run.secrets.\(name).fromFile"), suggestion: looked(path, base))
        case .command(let words, _):
          guard let program = words.first, program.contains("/"), missing(program, base) else { continue }
          report.warning(
            .fileMissing, "the command of secret `\(name)` does not exist",
            at: service.document.place("spec.run.secrets.\(name).fromCommand"), suggestion: looked(program, base))
        case .file, .env, .elsewhere: break
        }
      }
    }
  }

  private func missing(_ path: String, _ base: String) -> Bool { !FileManager.default.fileExists(atPath: absolute(path, base)) }

  private func looked(_ path: String, _ base: String) -> String { "looked for at \(absolute(path, base))" }

  private func absolute(_ path: String, _ base: String) -> String { LocalPath.resolve(path, from: base, home: NSHomeDirectory()) }
}
