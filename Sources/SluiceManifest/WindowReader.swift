import Foundation
import SluiceModel

extension Form where Output == [MaintenanceWindow] {
  /// The `windows` mapping.
  static var windows: Form {
    object { reader in
      reader.notBuilt("deny")
      let windows = Form<[MaintenanceWindow]>.list(
        of: .window, atLeast: 1, expected: "a list of times such as `Mon-Thu 09:00-17:00 Europe/Berlin`")
      return reader.required("allow", windows, example: #"allow: ["Mon-Thu 09:00-17:00 Europe/Berlin"]"#)
    }
  }
}

extension Form where Output == MaintenanceWindow {
  private static let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

  /// `Mon-Thu 09:00-17:00 Europe/Berlin`: days of the week, times of the day, a time zone.
  static var window: Form {
    scalar("a time of the week such as `Mon-Thu 09:00-17:00 Europe/Berlin`") { (text) throws(Mistake) in
      let words = text.split(separator: " ")
      guard words.count == 3 else {
        throw Mistake(
          problem: "has \(words.count == 2 ? "no time zone" : "another form")",
          suggestion: "write days, times and a time zone: `Mon-Thu 09:00-17:00 Europe/Berlin`")
      }
      let times = words[1].split(separator: "-", omittingEmptySubsequences: false).map(minutes)
      guard times.count == 2, let from = times[0], let to = times[1], from < 1440, from != to else {
        throw Mistake(problem: "has no times of the day in the middle", suggestion: "write `09:00-17:00`; `22:00-04:00` ends the day after")
      }
      let zone = String(words[2])
      guard TimeZone(identifier: zone) != nil, zone == "UTC" || zone.contains("/") else {
        throw Mistake(
          problem: "names `\(zone)`, which is no time zone that this machine knows",
          suggestion: NearestName.of(zone, in: TimeZone.knownTimeZoneIdentifiers).map { "did you mean `\($0)`?" }
            ?? "write a name such as `Europe/Berlin`, or `UTC`")
      }
      return MaintenanceWindow(days: try days(words[0]), from: from, to: to, zone: zone, text: text)
    }
  }

  /// `Mon-Thu`, `Sat`, `Mon,Wed,Fri`, `Fri-Mon`; in the order of the week.
  private static func days(_ text: Substring) throws(Mistake) -> [Int] {
    var found: [Int] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { name in days.firstIndex(of: String(name)) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2 else {
        throw Mistake(problem: "has no days of the week at its beginning", suggestion: "write `Mon-Thu`, `Sat` or `Mon,Wed,Fri`")
      }
      var day = first
      found.append(day)
      while day != last {
        day = (day + 1) % 7
        found.append(day)
      }
    }
    return Set(found).sorted()
  }

  /// `09:00`, up to `24:00`.
  private static func minutes(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 2 }), let hour = Digits.number(parts[0]),
      let minute = Digits.number(parts[1]),
      minute < 60, hour * 60 + minute <= 1440
    else { return nil }
    return hour * 60 + minute
  }
}
