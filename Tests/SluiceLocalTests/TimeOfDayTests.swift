import Foundation
import Testing

@testable import SluiceLocal

@Suite struct TimeOfDayTests {
  private let berlin = TimeZone(identifier: "Europe/Berlin")!

  private func date(_ text: String) -> Date { ISO8601DateFormatter().date(from: text)! }

  @Test func `a time means the moment that the zone's clocks call so`() {
    let now = date("2026-11-27T10:00:00Z")
    #expect(TimeOfDay.read("2026-11-27T04:00", now: now, zone: berlin) == .moment(date("2026-11-27T03:00:00Z")))
    #expect(TimeOfDay.read("2026-07-01T04:00:30", now: now, zone: berlin) == .moment(date("2026-07-01T02:00:30Z")))
    #expect(TimeOfDay.read("23:30", now: date("2026-11-27T23:30:00Z"), zone: berlin) == .moment(date("2026-11-28T22:30:00Z")))
    #expect(TimeOfDay.read("4:05", now: now, zone: .gmt) == .moment(date("2026-11-27T04:05:00Z")))
    #expect(TimeOfDay.read("2028-02-29T00:00", now: now, zone: .gmt) == .moment(date("2028-02-29T00:00:00Z")))
  }

  @Test func `an hour that the clocks leap over is none, and one that they show twice is two`() {
    let now = date("2027-03-28T00:00:00Z")
    #expect(TimeOfDay.read("2027-03-28T02:30", now: now, zone: berlin) == .leaptOver(next: date("2027-03-28T01:30:00Z")))
    #expect(TimeOfDay.read("02:30", now: now, zone: berlin) == .leaptOver(next: date("2027-03-28T01:30:00Z")))
    #expect(TimeOfDay.read("2027-03-28T03:00", now: now, zone: berlin) == .moment(date("2027-03-28T01:00:00Z")))
    #expect(TimeOfDay.read("2027-03-28T01:59:59", now: now, zone: berlin) == .moment(date("2027-03-28T00:59:59Z")))
    #expect(
      TimeOfDay.read("2026-10-25T02:30", now: now, zone: berlin) == .twice(date("2026-10-25T00:30:00Z"), date("2026-10-25T01:30:00Z")))
  }

  @Test func `what is no time is none`() {
    for text in ["", "soon", "25:00", "04:60", "2026-02-30T04:00", "2026-13-01T04:00", "2026-11-27", "2026-11-27T04", "2026-11-27T04:00 "] {
      #expect(TimeOfDay.read(text, now: Date(timeIntervalSince1970: 0), zone: berlin) == .notATime, "\(text)")
    }
  }
}
