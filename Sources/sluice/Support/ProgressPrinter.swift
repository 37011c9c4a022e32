import Foundation
import Glibc
import SluiceEngine
import SluiceModel
import SluiceRollout
import Synchronization

/// Shows what a run does, on standard error: plain lines everywhere, and on a terminal a live picture of the rollouts below them.
final class ProgressPrinter: Sendable {
  /// The picture is drawn at most ten times a second; lines that come meanwhile wait for the next one.
  private static let interval = Duration.milliseconds(100)

  private struct State {
    var area = LiveArea()
    var waiting: [String] = []
    var records: [ServiceName: (record: ServiceRecord, at: ContinuousClock.Instant)] = [:]
    var gates: [ServiceName: String] = [:]
    var drawnAt: ContinuousClock.Instant?
    var isScheduled = false
    var hasFinished = false
  }

  private let console: Console
  private let verbose: Bool
  /// Whether it is told that something was under way when the controller before ended.
  private let tellsDoubt: Bool
  private let picture: RolloutPicture
  private let live: Bool
  private let state = Mutex(State())

  init(console: Console, fleet: Fleet, verbose: Bool, tellsDoubt: Bool = true) {
    self.console = console
    self.verbose = verbose
    self.tellsDoubt = tellsDoubt
    picture = RolloutPicture(fleet: fleet, console: console)
    live = console.colors
    if live { Task { await keepTime() } }
  }

  func show(_ news: FleetRunner.News) {
    switch news {
    case .claiming(let service, let fence):
      if verbose { line("\(service): taking the fence, epoch \(fence.epoch)") }
    // It is among the events, and the last words tell it once more.
    case .passedOver, .left: break
    case .committed(let records, let events):
      for event in events { show(event) }
      for record in records { showGate(of: record) }
      if live {
        state.withLock { state in for record in records { state.records[record.service] = (record, .now) } }
        draw()
      }
    case .attempt(let service, let attempt):
      if verbose { line("\(service): #\(attempt.id) \(attempt.action.description(service: service))") }
    case .outcome(let service, let attempt, let result):
      if verbose { line("\(service): #\(attempt.id) \(brief(result))") }
    }
  }

  private func brief(_ result: AttemptResult) -> String {
    switch result {
    case .succeeded: "done"
    case .failed(let failure): "failed: \(failure.message)"
    case .unreachable(let why): "unreachable: \(why)"
    case .inDoubt(let why): "in doubt: \(why)"
    }
  }

  private func show(_ event: StoredEvent) {
    if event.event.kind == "in-doubt", !tellsDoubt, !verbose { return }
    let text = "\(event.service): \(event.event.text)"
    switch event.event.level {
    case .info: line(text)
    case .warning: line(console.styled(text, .yellow))
    case .failure: line(console.styled(text, .red))
    }
  }

  /// A gate that opens only by an operator's word ends the run, whose last words tell it.
  private func showGate(of record: ServiceRecord) {
    let gate = record.rollout?.gate.flatMap { $0.opensByItself ? $0 : nil }
    let text = gate.map { "waits: \($0.description)\n  next: \(record.nextStep ?? "")" }
    let isNew = state.withLock { state in
      let before = state.gates[record.service]
      state.gates[record.service] = text
      return text != nil && before != text
    }
    if isNew, let text { line(console.styled("\(record.service): \(text)", .yellow)) }
  }

  private func line(_ text: String) {
    guard live else { return console.say(text) }
    state.withLock { $0.waiting.append(text) }
    draw()
  }

  // MARK: Terminal

  /// Draws now, or when the interval since the last picture is over.
  private func draw() {
    let wait: Duration? = state.withLock { state in
      if state.hasFinished {
        for line in state.waiting { console.say(line) }
        state.waiting = []
        return nil
      }
      if state.isScheduled { return nil }
      let left = state.drawnAt.map { Self.interval - $0.duration(to: .now) } ?? .zero
      if left <= .zero {
        redraw(&state)
        return nil
      }
      state.isScheduled = true
      return left
    }
    guard let wait else { return }
    Task {
      try? await Task.sleep(for: wait)
      state.withLock { state in
        state.isScheduled = false
        if !state.hasFinished { redraw(&state) }
      }
    }
  }

  private func redraw(_ state: inout State) {
    let size = LiveArea.Size.of(STDERR_FILENO)
    let running = state.records.values.filter { $0.record.rollout != nil }.sorted { $0.record.service < $1.record.service }
    let lines = running.flatMap { picture.lines($0.record, since: Self.elapsed(since: $0.at), columns: size.columns) }
    console.put(state.area.text(above: state.waiting, lines: lines, size: size))
    state.waiting = []
    state.drawnAt = .now
  }

  private static func elapsed(since moment: ContinuousClock.Instant) -> Milliseconds {
    let (seconds, attoseconds) = (ContinuousClock.now - moment).components
    return Milliseconds(seconds * 1000 + attoseconds / 1_000_000_000_000_000)
  }

  /// Where nothing happens time goes on, and is seen to: until the view has ended.
  private func keepTime() async {
    while (try? await Task.sleep(for: .seconds(1))) != nil, !state.withLock({ $0.hasFinished }) { draw() }
  }

  /// Ends the live view, leaving the terminal clean: nothing but the lines remains.
  func finish() {
    state.withLock { state in
      guard live, !state.hasFinished else { return }
      state.records = [:]
      redraw(&state)
      state.hasFinished = true
    }
  }
}
