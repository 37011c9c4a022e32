/// Numbers for people, the same in every locale.
package enum Figures {
  /// `98 120`.
  package static func count(_ number: Int) -> String {
    let digits = String(number)
    var text = ""
    for (place, digit) in digits.enumerated() {
      if place > 0, (digits.count - place) % 3 == 0 { text += " " }
      text.append(digit)
    }
    return text
  }

  /// `1.16 %`: two decimals, below 0.1 % four, no zeros at the end.
  package static func percent(_ share: Double) -> String {
    let percent = share * 100
    return decimal(percent, places: percent < 0.1 ? 4 : 2) + " %"
  }

  /// A number with so many decimals at most; what is over 10¹² is shown as that.
  package static func decimal(_ number: Double, places: Int) -> String {
    let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
    let (whole, rest) = Int((min(number, 1e12) * Double(scale)).rounded()).quotientAndRemainder(dividingBy: scale)
    if rest == 0 { return String(whole) }
    var decimals = String(rest)
    decimals = String(repeating: "0", count: places - decimals.count) + decimals
    while decimals.last == "0" { decimals.removeLast() }
    return "\(whole).\(decimals)"
  }

  /// The number whose natural logarithm is given, with two digits, between 100 and 10 000 with all: `4.1`, `37`, `1.3e5`, `2.7e-4`.
  static func power(ofLog logarithm: Double) -> String {
    let decimalLog = logarithm / Elementary.log(10)
    var exponent = decimalLog.rounded(.down)
    var mantissa = (Elementary.exp((decimalLog - exponent) * Elementary.log(10)) * 10).rounded() / 10
    if mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    guard exponent < -2 || exponent > 3 else {
      let value = Elementary.exp(logarithm)
      return decimal(value, places: value >= 9.95 ? 0 : value >= 0.995 ? 1 : value >= 0.0995 ? 2 : 3)
    }
    return "\(decimal(mantissa, places: 1))e\(Int(exponent))"
  }

  /// `12 of 1 034 failed (1.16 %)`.
  static func tally(_ tally: Tally, _ verb: String = "") -> String {
    "\(count(tally.hits)) of \(count(tally.count)) \(verb.isEmpty ? "" : verb + " ")(\(percent(tally.share)))"
  }
}
