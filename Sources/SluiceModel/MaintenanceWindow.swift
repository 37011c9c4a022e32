/// Times of the week at which a release may begin, as `Mon-Thu 09:00-17:00 Europe/Berlin` says.
package struct MaintenanceWindow: Hashable, Codable, Sendable {
  /// 0 is Monday.
  package var days: [Int]
  /// Minutes since midnight.
  package var from: Int
  /// Minutes since midnight; not above `from`: of the day after.
  package var to: Int
  /// A name of the IANA time zone database.
  package var zone: String
  /// As it was written.
  package var text: String

  package init(days: [Int], from: Int, to: Int, zone: String, text: String) {
    self.days = days
    self.from = from
    self.to = to
    self.zone = zone
    self.text = text
  }

  /// Whether it is open at a local time, in milliseconds since 1970 as the zone's clocks show it.
  package func isOpen(atLocal time: Int64) -> Bool {
    let (day, minute) = Self.place(time)
    if from < to { return days.contains(day) && (from..<to).contains(minute) }
    return days.contains(day) && minute >= from || days.contains((day + 6) % 7) && minute < to
  }

  /// How long until it opens, at a local time at which it is closed; nil: never.
  package func opens(afterLocal time: Int64) -> Milliseconds? {
    let (day, _) = Self.place(time)
    let midnight = time - Self.rest(time, 86_400_000)
    for ahead in 0...7 where days.contains((day + ahead) % 7) {
      let opening = midnight + Int64(ahead) * 86_400_000 + Int64(from) * 60_000
      if opening > time { return Milliseconds(opening - time) }
    }
    return nil
  }

  /// Day of the week and minute of the day. 1970-01-01 was a Thursday.
  private static func place(_ time: Int64) -> (day: Int, minute: Int) {
    let days = (time - rest(time, 86_400_000)) / 86_400_000
    return (Int(rest(days + 3, 7)), Int(rest(time, 86_400_000) / 60_000))
  }

  private static func rest(_ value: Int64, _ modulus: Int64) -> Int64 { (value % modulus + modulus) % modulus }
}
