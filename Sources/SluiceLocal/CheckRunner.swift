internal import Foundation
internal import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// Asks the questions of a canary's analysis from this machine.
///
/// A command finds `SLUICE_CHECK`, `SLUICE_SERVICE`, `SLUICE_FLEET`, `SLUICE_RELEASE` and `SLUICE_STEP` in its environment. URLs are asked by
/// curl, with its own configuration and proxies. What cannot be asked from here is in doubt, and not held against the release.
package struct CheckRunner: CheckPort {
  package init() {}

  /// Why a check could never be asked from this machine; nil: it can.
  package static func obstacle(_ check: AnalysisCheck) -> LocalError? {
    switch check.kind {
    case .command(let words, let directory):
      let program = LocalProgram.resolve(words.first ?? "", from: directory)
      return LocalProgram.problem(program, called: "the command of check \(check.name), \(program),")
    case .http: return LocalProgram.problem("curl", called: "curl, which asks check \(check.name),")
    case .elsewhere: return nil
    }
  }

  package func ask(_ check: AnalysisCheck, step: Int, record: ServiceRecord) async -> AttemptResult {
    switch check.kind {
    case .command(let words, let directory): await run(words, in: directory, check, step: step, record)
    case .http(let url, let json, let equals): await get(url, json: json, equals: equals, check)
    case .elsewhere(let hash):
      // It came with a copy of the record: nothing that does is run here.
      .inDoubt(
        "the check \(check.name) of \(record.service) is not known on this machine (its hash \(hash.short)): "
          + "give the manifest: sluice rollout resume \(record.service) -f PATH")
    }
  }

  private func run(
    _ words: [String], in directory: String, _ check: AnalysisCheck, step: Int, _ record: ServiceRecord
  ) async -> AttemptResult {
    var command = LocalCommand(program: LocalProgram.resolve(words.first ?? "", from: directory), timeLimit: check.timeout.duration)
    command.arguments = Array(words.dropFirst())
    command.workingDirectory = directory
    let release = record.rollout?.goal.release.map { "\(record.service)@\($0.number)" } ?? ""
    command.environment = [
      "SLUICE_CHECK": check.name, "SLUICE_SERVICE": record.service.rawValue, "SLUICE_FLEET": record.policy.fleet.rawValue,
      "SLUICE_RELEASE": release, "SLUICE_STEP": "\(step + 1)",
    ]
    return await result(of: command, check, named: words.joined(separator: " "))
  }

  private func get(_ url: String, json: String?, equals: String?, _ check: AnalysisCheck) async -> AttemptResult {
    var command = LocalCommand(program: "curl", timeLimit: check.timeout.duration)
    // The URL may hold what nobody should see in a list of processes.
    command.arguments = ["--silent", "--show-error", "--fail", "--location", "--max-filesize", "1048576", "--config", "-"]
    let quoted = url.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
    command.input = Array("url = \"\(quoted)\"\n".utf8)
    command.outputLimit = 1 << 20
    command.gathersErrors = json == nil
    var answer: [UInt8] = []
    let outcome = await result(of: command, check, named: "GET") { answer = $0 }
    guard case .succeeded = outcome, let json else { return outcome }
    guard let path = JSONPath(json), let found = path.find(in: answer) else {
      return failed("its answer has no \(json): \(String(decoding: answer.prefix(200), as: UTF8.self))")
    }
    guard let equals, found != equals else { return .succeeded(.nothing) }
    return failed("\(json) is \(found), not \(equals)")
  }

  private func result(
    of command: LocalCommand, _ check: AnalysisCheck, named name: String, _ take: ([UInt8]) -> Void = { _ in }
  ) async -> AttemptResult {
    let outcome: LocalCommand.Outcome
    // This says nothing of the release.
    do { outcome = try await command.run() } catch { return .inDoubt("\(command.program) cannot be started on this machine (\(error))") }
    let words = outcome.text.split(whereSeparator: \.isNewline).last.map { ": \($0.prefix(300))" } ?? ""
    switch outcome.end {
    case .exited(0):
      take(outcome.output)
      return .succeeded(.nothing)
    case .exited(let status): return failed("\(name) exited with status \(status)\(words)")
    case .signalled(let signal): return failed("\(name) was killed by signal \(signal)")
    case .timedOut: return failed("\(name) did not end within \(check.timeout)")
    case .cancelled: return .inDoubt("\(name) was stopped before it ended")
    }
  }

  private func failed(_ message: String) -> AttemptResult { .failed(Failure(.check, message)) }
}

extension JSONPath {
  /// What is there, as text: a string without its quotes; nil where nothing is.
  func find(in bytes: [UInt8]) -> String? {
    var value: Any
    do { value = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed) } catch { return nil }
    for step in steps {
      switch step {
      case .name(let name):
        guard let next = (value as? [String: Any])?[name] else { return nil }
        value = next
      case .index(let index):
        guard let list = value as? [Any], index < list.count else { return nil }
        value = list[index]
      }
    }
    if let text = value as? String { return text }
    guard let data = try? JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed, .sortedKeys]) else { return nil }
    return String(decoding: data, as: UTF8.self)
  }
}
