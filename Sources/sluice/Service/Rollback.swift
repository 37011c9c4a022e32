import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout
import SluiceStore

/// `sluice rollback SERVICE [--to N] [--mark-bad]`
struct Rollback: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Go back to the release before, and with each further rollback to the one before that; in mid-rollout the same as `rollout abort`.")

  @Argument var service: String
  @Option(help: "The number of the release, as `sluice history` lists it.")
  var to: Int?
  @Flag(help: "Mark the release that is left as bad: applying it again, as the next run of a pipeline would, needs --force.")
  var markBad = false
  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  func run() async throws {
    let console = Console()
    let name = ServiceName(service)
    let workspace = try Workspace.load(common, console)
    let record = try workspace.reader()?.load(workspace.fleet.name).records.first { $0.service == name }
    let way = record.flatMap { WayBack($0, to: to.map { ReleaseNumber($0) }) }
    for line in way?.lines ?? [] { console.say(line) }
    let action = ServiceAction(
      service: name, common: common, change: change, words: "rollback \(service)", goesBack: true, reachesRunning: true)
    // Whoever was asked about a number goes to that one, also where another machine has acted meanwhile.
    let agreed = change.yes ? nil : way?.target
    try await action.run(
      .rollback(to: to.map { ReleaseNumber($0) } ?? agreed, marksBad: markBad ? true : nil),
      question: way.map { "\($0.question)\(markBad ? " and mark \($0.left) as bad" : "")?" }
        ?? "Roll \(service) back to \(to.map { "release \($0)" } ?? "the release before")?")
  }
}

/// Where a rollback goes, as far as the record at hand tells, and what that changes.
private struct WayBack {
  let target: ReleaseNumber
  /// The release that is left: `shop@3`.
  let left: String
  let question: String
  let lines: [String]

  /// nil: there is nothing to tell, and what is refused is told by who refuses it.
  init?(_ record: ServiceRecord, to wanted: ReleaseNumber?) {
    let service = record.service
    let former: ReleaseNumber?
    if let rollout = record.rollout {
      guard let origin = rollout.origin.release, wanted == nil || wanted == origin else { return nil }
      target = origin
      former = rollout.direction.isForward ? rollout.goal.release : rollout.wanted
      question = "End the rollout of \(service)\(former ?? origin) and go back to \(service)\(origin)"
    } else {
      guard let target = wanted ?? record.previous else { return nil }
      self.target = target
      former = record.stable?.release
      question = "Roll \(service) back from \(former.map { "\(service)\($0)" } ?? "nothing") to \(service)\(target)"
    }
    left = "\(service)\(former ?? target)"
    guard let old = former.flatMap({ record.release($0) }), let new = record.release(target), old.number != new.number else {
      lines = []
      return
    }
    lines = ["\(service): from \(old.number) to \(new.number)"] + PlanText.changes(of: FieldChange.between(old.spec, and: new.spec))
  }
}
