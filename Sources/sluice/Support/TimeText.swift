import Foundation
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

  /// Reads `2026-11-21T04:00:00Z`, with an offset, or in local time without one; `04:00` or `04:00:30` today; nil otherwise.
  static func parse(_ text: String, now: Date = Date()) -> WallTime? {
    let iso = ISO8601DateFormatter()
    for options: ISO8601DateFormatter.Options in [[.withInternetDateTime], [.withInternetDateTime, .withFractionalSeconds]] {
      iso.formatOptions = options
      if let date = iso.date(from: text) { return wall(date) }
    }
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    for format in ["yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm"] {
      formatter.dateFormat = format
      if let date = formatter.date(from: text) { return wall(date) }
    }
    for format in ["HH:mm:ss", "HH:mm"] {
      formatter.dateFormat = format
      guard let clock = formatter.date(from: text) else { continue }
      let parts = Calendar.current.dateComponents([.hour, .minute, .second], from: clock)
      if let date = Calendar.current.date(bySettingHour: parts.hour ?? 0, minute: parts.minute ?? 0, second: parts.second ?? 0, of: now) {
        return wall(date)
      }
    }
    return nil
  }

  private static func wall(_ date: Date) -> WallTime { WallTime(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded())) }
}
