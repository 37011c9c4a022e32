import SluiceEngine
import SluiceModel
import SluiceRollout

/// The last words of a run about one service: what happened, where, why, and what to do next.
struct OutcomeText {
  let console: Console

  /// `idle` takes the place of that there was nothing to do; nothing is said where it is empty. `next` is what the record says to type at a gate;
  /// `besides` is what is not as asked although nothing was to be done.
  func tell(_ service: ServiceName, _ outcome: FleetRunner.Outcome, next: String? = nil, idle: String? = nil, besides: [String] = []) {
    switch outcome {
    case .done(nil):
      let words = idle ?? (besides.isEmpty ? "\(service): nothing to do, everything is as asked" : "\(service): nothing was done")
      if !words.isEmpty { console.say(words) }
      if idle == nil { for line in besides { console.say(console.styled("warning: \(line)", .yellow)) } }
    case .done(let end?): tell(service, end)
    case .waiting(.failed(let failure)):
      let gate = Gate.failed(failure)
      console.complain("\(service) waits: \(gate.description)", output: failure.output, remedy: next ?? gate.remedy(service: service))
    case .waiting(let gate): console.ask("\(service) waits: \(gate.description)", remedy: next ?? gate.remedy(service: service))
    case .refused(let refusal):
      let isNamed = refusal.message.hasPrefix("\(service) ")
      console.complain(isNamed ? refusal.message : "\(service): \(refusal.message)", remedy: refusal.remedy)
    case .held(let holder):
      console.complain(
        "\(service) is held by \(holder.fence.owner.prefix { $0 != ":" }) since \(TimeText.utc(holder.since)) (epoch \(holder.fence.epoch))",
        remedy: "wait for it; if that controller is dead for certain, say --take-over")
    // Without a holder it is the record that is in question, and what to do about that is said with it.
    case .failed(let failure) where failure.kind == .fenced && (failure.holder != nil || failure.remedy.isEmpty):
      let who = failure.holder.map { "\($0.owner.prefix { $0 != ":" }) (epoch \($0.epoch))" } ?? "another controller"
      console.complain(
        "\(service) was taken over by \(who): \(failure.message)",
        remedy: "leave it to that controller: what was under way here is looked after by it")
    case .failed(let failure): console.complain("\(service): \(failure.message)", output: failure.output, remedy: failure.remedy)
    case .interrupted:
      console.ask(
        "\(service): interrupted at a safe point",
        remedy: "sluice rollout resume \(service) goes on; sluice rollout abort \(service) goes back")
    }
  }

  /// A host or gateway that was left out: the rest has gone on without it, and it is to be mended.
  func tellPassedOver(_ service: ServiceName, _ failure: Failure) {
    console.complain("\(service) went on without it: \(failure.message)", output: failure.output, remedy: failure.remedy)
  }

  private func tell(_ service: ServiceName, _ end: RolloutEnd) {
    let release = end.release.map { "\(service)\($0)" } ?? "\(service)"
    switch end.result {
    case .succeeded: console.say(console.styled("\(end.cause) of \(release) succeeded", .green))
    case .degraded: tell("\(service): \(end.cause) of \(release) ended degraded", end)
    case .rolledBack where end.byOperator == true: tellEnded("the fleet is back on \(release)", service, end)
    case .rolledBack:
      tell(
        "\(service): \(end.cause)\(tried(end)) \(end.failures.isEmpty ? "was ended" : "failed"), and the fleet is back on \(release)", end)
    case .failed where end.byOperator == true: tellEnded("nothing of it was left behind", service, end)
    case .failed: tell("\(service): \(end.cause) failed, and nothing of it was left behind", end)
    }
  }

  private func tried(_ end: RolloutEnd) -> String { end.wanted.flatMap { $0 == end.release ? nil : " of \($0)" } ?? "" }

  /// The result first, then each thing that went wrong; the reason apart only where it is none of these.
  private func tell(_ headline: String, _ end: RolloutEnd) {
    let isTold = end.reason.isEmpty || end.failures.contains { $0.failure.message == end.reason }
    console.complain(headline + (isTold ? "" : ": \(end.reason)"))
    explain(end)
  }

  /// What somebody has ended is no error; what went wrong before or on the way back is told all the same.
  private func tellEnded(_ state: String, _ service: ServiceName, _ end: RolloutEnd) {
    console.say("\(service): \(end.cause)\(tried(end)) was ended (\(end.reason)), and \(state)")
    explain(end)
  }

  private func explain(_ end: RolloutEnd) {
    for counted in end.failures {
      let failure = counted.failure
      let place = counted.host.flatMap { failure.message.contains($0.rawValue) ? nil : "\($0): " } ?? ""
      console.explain("\(place)\(failure.message)", output: failure.output, remedy: failure.remedy)
    }
  }
}
