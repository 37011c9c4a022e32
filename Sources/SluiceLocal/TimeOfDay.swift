package import Foundation

/// A date and time as a person types it, without an offset: which moment is meant in a time zone, if one is.
package enum TimeOfDay {
  package enum Reading: Equatable, Sendable {
    case moment(Date)
    /// The clocks of the zone leap over it; the moment that many people would call by it, after the leap.
    case leaptOver(next: Date)
    /// The clocks of the zone show it twice.
    case twice(Date, Date)
    case notATime
  }

  /// Reads `2026-11-21T04:00`, with or without seconds, and `04:00` for the day of `now`.
  package static func read(_ text: String, now: Date, zone: TimeZone) -> Reading {
    var utc = Calendar(identifier: .gregorian)
    utc.timeZone = .gmt
    var parts = DateComponents()
    if let match = text.wholeMatch(of: /([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?/) {
      (parts.year, parts.month, parts.day) = (Int(match.1), Int(match.2), Int(match.3))
      (parts.hour, parts.minute, parts.second) = (Int(match.4), Int(match.5), match.6.map { Int($0) } ?? 0)
    } else if let match = text.wholeMatch(of: /([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?/) {
      var here = Calendar(identifier: .gregorian)
      here.timeZone = zone
      parts = here.dateComponents([.year, .month, .day], from: now)
      (parts.hour, parts.minute, parts.second) = (Int(match.1), Int(match.2), match.3.map { Int($0) } ?? 0)
    } else {
      return .notATime
    }
    // As if it were UTC first: then the zone's offsets around it tell which moments its clocks call so.
    guard let shown = utc.date(from: parts) else { return .notATime }
    let back = utc.dateComponents([.year, .month, .day, .hour, .minute, .second], from: shown)
    guard back.year == parts.year, back.month == parts.month, back.day == parts.day, back.hour == parts.hour, back.minute == parts.minute,
      back.second == parts.second
    else { return .notATime }
    let offsets = [-86_400.0, 86_400].map { zone.secondsFromGMT(for: shown + $0) }
    let moments = Set(offsets).sorted(by: >).map { (offset: $0, date: shown - TimeInterval($0)) }
      .filter { zone.secondsFromGMT(for: $0.date) == $0.offset }.map(\.date)
    if moments.count == 2 { return .twice(moments[0], moments[1]) }
    if let moment = moments.first { return .moment(moment) }
    return .leaptOver(next: shown - TimeInterval(offsets[0]))
  }
}
