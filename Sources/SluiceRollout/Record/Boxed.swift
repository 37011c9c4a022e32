/// A value kept beside what holds it, so that copying the holder does not copy it: for what is large and seldom changes.
///
/// It is encoded as the value itself, and left out where that is nil.
@propertyWrapper
package struct Boxed<Value: Hashable & Codable & Sendable>: Hashable, Codable, Sendable {
  private final class Storage: Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  private var storage: Storage

  package var wrappedValue: Value {
    get { storage.value }
    set { storage = Storage(newValue) }
  }

  package init(wrappedValue: Value) { storage = Storage(wrappedValue) }

  package static func == (left: Self, right: Self) -> Bool { left.storage === right.storage || left.storage.value == right.storage.value }
  package func hash(into hasher: inout Hasher) { hasher.combine(storage.value) }
  package init(from decoder: any Decoder) throws { self.init(wrappedValue: try Value(from: decoder)) }
  package func encode(to encoder: any Encoder) throws { try storage.value.encode(to: encoder) }
}

extension KeyedEncodingContainer {
  mutating func encode<Value>(_ box: Boxed<Value?>, forKey key: Key) throws { try encodeIfPresent(box.wrappedValue, forKey: key) }
}

extension KeyedDecodingContainer {
  func decode<Value>(_: Boxed<Value?>.Type, forKey key: Key) throws -> Boxed<Value?> {
    Boxed(wrappedValue: try decodeIfPresent(Value.self, forKey: key))
  }
}
