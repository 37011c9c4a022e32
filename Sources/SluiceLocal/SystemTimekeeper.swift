internal import Foundation
internal import SluiceEngine
package import SluiceModel
internal import Glibc

/// This machine's clocks. The monotonic one stands still while the machine sleeps: nobody looks after a record then.
package struct SystemTimekeeper: Timekeeper {
  package init() {}

  package func monotonic() -> Milliseconds { Self.read(CLOCK_MONOTONIC) }
  package func wall() -> WallTime { WallTime(milliseconds: Self.read(CLOCK_REALTIME).value) }
  package func sleep(for time: Milliseconds) async throws {
    try await Task.sleep(for: time.duration, tolerance: .milliseconds(1), clock: .suspending)
  }

  package func offset(of zone: String, at wall: WallTime) -> Milliseconds? {
    let date = Date(timeIntervalSince1970: Double(wall.milliseconds) / 1000)
    return TimeZone(identifier: zone).map { .seconds(Int64($0.secondsFromGMT(for: date))) }
  }

  private static func read(_ clock: clockid_t) -> Milliseconds {
    var time = timespec()
    // It can fail only for a clock that does not exist, and both do on every Linux.
    clock_gettime(clock, &time)
    return Milliseconds(Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
  }
}
