package import SluiceModel

/// What reading a set of manifest files gave.
package struct ManifestResult: Sendable {
  /// Nil when any diagnostic is an error.
  package var manifests: Manifests?
  /// By file, line and column.
  package var diagnostics: [Diagnostic]

  package init(manifests: Manifests?, diagnostics: [Diagnostic]) {
    self.manifests = manifests
    self.diagnostics = diagnostics
  }

  /// Those that stop the command.
  package var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
  /// Those that do not.
  package var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }
}

/// Reads manifests: YAML into the model, with every problem of every file in one go (DESIGN section 3).
package enum ManifestReader {
  /// Reads files, and directories' `*.yaml` and `*.yml` in the order of their names, not recursively. A file named twice is read once. What cannot be read is a diagnostic like any other.
  package static func read(paths: [String]) -> ManifestResult {
    let files = ManifestFiles(paths: paths)
    return read(sources: files.sources, problems: files.problems, looksAtFiles: true)
  }

  /// Reads texts.
  package static func read(sources: [ManifestSource]) -> ManifestResult { read(sources: sources, problems: [], looksAtFiles: false) }

  private static func read(sources: [ManifestSource], problems: [Diagnostic], looksAtFiles: Bool) -> ManifestResult {
    let report = Report(sources: sources.map(SourceText.init))
    report.isIncomplete = !problems.isEmpty
    var declarations = Declarations()
    var isEmpty = problems.isEmpty
    for index in sources.indices {
      for value in YAMLDocuments(source: index, report: report).read() {
        declarations.add(value, report: report)
        isEmpty = false
      }
    }
    if isEmpty, !report.hasErrors { return ManifestResult(manifests: nil, diagnostics: [ManifestFiles.nothing(in: sources.map(\.name))]) }
    declarations.fleets = declarations.fleets.map(SignerFiles(report: report).read)
    ReferenceChecks(declarations, report).run()
    ConflictChecks(declarations, report).run()
    CapacityChecks(declarations, report).run()
    TimingChecks(declarations, report).run()
    if looksAtFiles { FileChecks(declarations, report).run() }
    let isSound = problems.isEmpty && !report.hasErrors
    return ManifestResult(manifests: isSound ? declarations.manifests : nil, diagnostics: problems + report.diagnostics)
  }
}
