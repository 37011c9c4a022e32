import Foundation
import SluiceLocal
import SluiceModel

/// Wall times as people read them: always with the zone.
enum TimeText {
  /// `2026-11-21 03:31:49 UTC`
  static func utc(_ time: WallTime) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "UTC")
    formatter.dateFormat = "yyyy-MM-dd HH:mm:ss 'UTC'"
    return formatter.string(from: Date(timeIntervalSince1970: Double(time.milliseconds) / 1000))
  }

  /// `2026-11-21 03:31:49 UTC`, and what clocks here show then where that is another time: `(04:31:49 here)`.
  static func both(_ time: WallTime) -> String {
    let date = Date(timeIntervalSince1970: Double(time.milliseconds) / 1000)
    if TimeZone.current.secondsFromGMT(for: date) == 0 { return utc(time) }
    return "\(utc(time)) (\(local(date, "yyyy-MM-dd HH:mm:ss")) here)"
  }

  /// What to type for the same time of day tomorrow, in local time: `2026-11-22T04:00:00`.
  static func tomorrow(_ time: WallTime) -> String {
    let date = Date(timeIntervalSince1970: Double(time.milliseconds) / 1000)
    return local(Calendar.current.date(byAdding: .day, value: 1, to: date) ?? date, "yyyy-MM-dd'T'HH:mm:ss")
  }

  private static func local(_ date: Date, _ format: String) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.dateFormat = format
    return formatter.string(from: date)
  }

  /// What a person's words for a time come to.
  enum Reading {
    case time(WallTime)
    /// Why it is none or not one, and what to say instead.
    case refused(String, remedy: String)
    case notATime
  }

  /// Reads `2026-11-21T04:00:00Z`, with an offset, or in local time without one; `04:00` or `04:00:30` today.
  static func read(_ text: String, now: Date = Date(), zone: TimeZone = .current) -> Reading {
    let iso = ISO8601DateFormatter()
    for options: ISO8601DateFormatter.Options in [[.withInternetDateTime], [.withInternetDateTime, .withFractionalSeconds]] {
      iso.formatOptions = options
      if let date = iso.date(from: text) { return .time(wall(date)) }
    }
    switch TimeOfDay.read(text, now: now, zone: zone) {
    case .moment(let date): return .time(wall(date))
    case .leaptOver(let next):
      return .refused(
        "\(text) does not exist in \(zone.identifier): its clocks are put forward over it",
        remedy: "say \(withOffset(next, zone)), or a time before or after the change")
    case .twice(let first, let second):
      return .refused(
        "\(text) comes twice in \(zone.identifier): its clocks are put back over it",
        remedy: "say \(withOffset(first, zone)) for the first, \(withOffset(second, zone)) for the second")
    case .notATime: return .notATime
    }
  }

  /// The moment that was meant, where there is just one.
  static func parse(_ text: String) -> WallTime? { if case .time(let time) = read(text) { time } else { nil } }

  /// `2027-03-28T03:30:00+02:00`
  private static func withOffset(_ date: Date, _ zone: TimeZone) -> String {
    let formatter = ISO8601DateFormatter()
    formatter.timeZone = zone
    formatter.formatOptions = [.withInternetDateTime]
    return formatter.string(from: date)
  }

  private static func wall(_ date: Date) -> WallTime { WallTime(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded())) }
}
