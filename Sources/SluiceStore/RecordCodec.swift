internal import Foundation
package import SluiceRollout

/// A service record as bytes: JSON with sorted keys, so that equal records are equal bytes, inside a wrapping that tells the format.
package enum RecordCodec {
  /// What this Sluice writes, and the newest it reads.
  package static let format = 1

  private struct Wrapping<Content: Codable>: Codable {
    var format: Int
    var record: Content
  }

  private struct Header: Decodable {
    var format: Int
  }

  package static func encode(_ record: ServiceRecord) throws -> [UInt8] {
    [UInt8](try StableJSON.data(Wrapping(format: format, record: record)))
  }

  /// Throws `StoreError`: `.newer` when a newer Sluice wrote it, `.damaged` with the field that cannot be read.
  package static func decode(_ bytes: [UInt8]) throws -> ServiceRecord {
    let data = Data(bytes)
    let header = try StableJSON.value(Header.self, from: data, what: "a service record")
    guard header.format <= format else {
      throw StoreError(
        .newer, "the service record has format \(header.format), and this sluice reads up to \(format)",
        remedy: "A newer sluice wrote it: use that version or a later one")
    }
    guard header.format >= 1 else { throw StoreError(.damaged, "the service record has format \(header.format), which never existed") }
    return try StableJSON.value(Wrapping<ServiceRecord>.self, from: data, what: "a service record").record
  }
}

/// JSON whose bytes depend on the value alone, and errors that name the field.
enum StableJSON {
  static func data(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }

  static func text(_ value: some Encodable) throws -> String { String(decoding: try data(value), as: UTF8.self) }

  static func value<Value: Decodable>(_ type: Value.Type, from text: String, what: String) throws -> Value {
    try value(type, from: Data(text.utf8), what: what)
  }

  static func value<Value: Decodable>(_ type: Value.Type, from data: Data, what: String) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch let error as DecodingError {
      throw StoreError(
        .damaged, "\(what) cannot be read: \(explain(error))",
        remedy: "Move the file away and run sluice rollout resume: the newest copy is taken from gateways and hosts")
    }
  }

  private static func explain(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, let context): "the field \(path(context.codingPath + [key])) is missing"
    case .typeMismatch(_, let context): "the field \(path(context.codingPath)) has another type (\(context.debugDescription))"
    case .valueNotFound(_, let context): "the field \(path(context.codingPath)) has no value"
    case .dataCorrupted(let context):
      context.codingPath.isEmpty
        ? "it is not JSON (\(context.debugDescription))"
        : "the field \(path(context.codingPath)) holds what it may not (\(context.debugDescription))"
    @unknown default: "\(error)"
    }
  }

  /// `record.instances[3].phase`.
  private static func path(_ keys: [any CodingKey]) -> String {
    keys.reduce(into: "") { text, key in
      if let index = key.intValue { text += "[\(index)]" } else { text += (text.isEmpty ? "" : ".") + key.stringValue }
    }
  }
}
