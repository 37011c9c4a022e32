import ArgumentParser
import NIOCore
import SluiceLoad

/// `http://HOST:PORT`, IPv6 in brackets; without a port 80.
struct Endpoint: ExpressibleByArgument {
  var target: LoadPlan.Target

  init?(argument: String) {
    var rest = argument[...]
    guard rest.hasPrefix("http://") else { return nil }
    rest = rest.dropFirst(7)
    if rest.last == "/" { rest = rest.dropLast() }
    var port = 80
    let bracket = rest.lastIndex(of: "]")
    if let colon = rest.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
      guard let number = UInt16(rest[rest.index(after: colon)...]), number > 0 else { return nil }
      port = Int(number)
      rest = rest[..<colon]
    }
    if rest.first == "[", rest.last == "]" { rest = rest.dropFirst().dropLast() } else if rest.contains(":") { return nil }
    guard !rest.isEmpty, !rest.contains(where: { $0 == "/" || $0 == "?" || $0 == "@" || $0.isWhitespace }) else { return nil }
    target = LoadPlan.Target(host: String(rest), port: port)
  }
}

/// `10%` or `0.5%`.
struct Share: ExpressibleByArgument, CustomStringConvertible {
  var basisPoints: Int
  init(basisPoints: Int) { self.basisPoints = basisPoints }

  init?(argument: String) {
    guard argument.last == "%", let share = Double(argument.dropLast()), (0...100).contains(share) else { return nil }
    basisPoints = Int((share * 100).rounded())
  }

  var description: String { basisPoints % 100 == 0 ? "\(basisPoints / 100)%" : "\(Double(basisPoints) / 100)%" }
}

/// `500ms`, `30s`, `5m`, `1h`.
struct Span: ExpressibleByArgument, CustomStringConvertible {
  var amount: TimeAmount
  init(_ amount: TimeAmount) { self.amount = amount }

  init?(argument: String) {
    let digits = argument.prefix(while: \.isNumber)
    guard let count = Int64(digits), count <= 100_000_000 else { return nil }
    switch argument.dropFirst(digits.count) {
    case "ms": amount = .milliseconds(count)
    case "s": amount = .seconds(count)
    case "m": amount = .minutes(count)
    case "h" where count <= 24: amount = .hours(count)
    default: return nil
    }
  }

  var description: String {
    let milliseconds = amount.nanoseconds / 1_000_000
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
  }
}

/// `get=70,post=10`.
struct MixOption: ExpressibleByArgument, CustomStringConvertible {
  var text: String
  var mix: Mix

  init(text: String, mix: Mix) {
    self.text = text
    self.mix = mix
  }

  init?(argument: String) {
    guard let mix = Mix(argument) else { return nil }
    self.init(text: argument, mix: mix)
  }

  var description: String { text }
}

/// How the summary is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case json, text
}
