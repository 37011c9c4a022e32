import SluiceModel
import SluiceTraffic

/// A switch that is not simply open, in the words of a headline.
enum SwitchText {
  /// `SWITCH CLOSED since 2026-11-21 04:00:00 UTC: users get 503; sluice switch open shop`; nil while it is open and nothing waits.
  static func words(
    _ state: SwitchMachine.State, since: WallTime?, pending: SwitchMachine.Pending?, service: ServiceName, place: String = ""
  ) -> String? {
    let when = since.map { " since \(TimeText.utc($0))" } ?? ""
    let standing: String? =
      switch state {
      case .open: nil
      case .queue: "SWITCH AT QUEUE\(place)\(when): requests are held for a while, then users get 503; sluice switch open \(service)"
      case .closed: "SWITCH CLOSED\(place)\(when): users get 503; sluice switch open \(service)"
      }
    let waiting = pending.map { pending in
      "SWITCH \(verb(pending.state))\(place) at \(TimeText.utc(pending.at)): "
        + "sluice switch \(name(pending.state)) \(service) --cancel takes that back"
    }
    let parts = [standing, waiting].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  private static func verb(_ state: SwitchMachine.State) -> String {
    switch state {
    case .open: "OPENS"
    case .queue: "GOES TO QUEUE"
    case .closed: "CLOSES"
    }
  }

  /// The verb of `sluice switch`.
  private static func name(_ state: SwitchMachine.State) -> String { state == .closed ? "close" : state.rawValue }
}
