import Foundation

/// `sluice-load`, running until it is told to stop.
final class Load {
  struct Summary: Codable {
    struct Release: Codable {
      var answered: Int
      var errors: Int
    }
    struct Kind: Codable {
      var requests: Int
      var answered: Int
      var lost: Int
    }
    struct Loss: Codable {
      var kind: String
      var fate: String
      var status: Int?
      var reused: Bool?
      var detail: String?
      var release: String?
      var instance: String?
      var afterMilliseconds: Double?
    }
    var requests: Int
    var lost: Int
    var fates: [String: Int]
    var maxGapMilliseconds: Double
    var statuses: [String: Int]?
    var kinds: [String: Kind]?
    var releases: [String: Release]
    var losses: [Loss]
  }

  private let program: Program
  private let stop: String
  let record: String

  /// Against one or more `address:port`s. `mix` and rates are those of sluice-load; the run is bounded in any case.
  init(
    _ targets: [String], in directory: String, host: String = "shop.example.com", clients: Int = 60, longClients: Int = 20, rate: Int = 800,
    mix: String = "get=80,post=10,slow=4,stream=2,upload=2,ws=2", slowMilliseconds: Int = 3000, limit: String = "300s", more: [String] = []
  ) throws {
    stop = "\(directory)/stop-\(UUID().uuidString)"
    record = "\(directory)/requests-\(UUID().uuidString).ndjson"
    var words = [Place.program("sluice-load")]
    for target in targets { words += ["--target", "http://\(target)"] }
    words += ["--host-header", host, "--clients", "\(clients)", "--long-clients", "\(longClients)", "--rate", "\(rate)"]
    words += [
      "--mix", mix, "--slow-ms", "\(slowMilliseconds)", "--duration", limit, "--until-file", stop, "--record", record, "--output", "json",
    ]
    program = try Program(words + more)
  }

  /// One line of the record.
  struct Request: Codable {
    /// Its start: wall clock, milliseconds since 1970.
    var at: Int64
    var kind: String
    var fate: String
    var release: String?
    var user: String?
  }

  /// Enough requests that nearly each of 10 000 users sends some.
  static let reach = 40_000

  /// The record, whole once the program has ended.
  func requests(whole: Bool = true) throws -> [Request] {
    let decoder = JSONDecoder()
    let text = try String(contentsOfFile: record, encoding: .utf8)
    // While it runs, the last line may not be there in full.
    return try text.split(separator: "\n").dropLast(whole ? 0 : 1).map { try decoder.decode(Request.self, from: Data($0.utf8)) }
  }

  /// How many requests have ended and been written down so far, a little fewer than have really ended.
  var recorded: Int {
    guard let data = try? Data(contentsOf: URL(fileURLWithPath: record)) else { return 0 }
    return data.count { $0 == UInt8(ascii: "\n") }
  }

  /// Reads what became of every request, once it has ended: `early`, it is told to.
  func finish(early: Bool = true) async throws -> Summary {
    if early { try Data().write(to: URL(fileURLWithPath: stop)) }
    let output = try await program.wait(.seconds(90))
    guard let summary = try? JSONDecoder().decode(Summary.self, from: Data(output.out.utf8)) else {
      throw ProgramError("sluice-load: \(output.all)")
    }
    return summary
  }
}
