/// Text for a POSIX shell. Nothing reaches a host's shell but through here.
enum Shell {
  /// One word, whatever the text holds: single quotes, with `'\''` for a quote.
  static func quote(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
  }

  /// Several words, for `eval "set -- $words"`.
  static func words(_ list: [String]) -> String { list.map(quote).joined(separator: " ") }

  /// A line `NAME="value"` that both `sh` and systemd's `EnvironmentFile=` read as the same value: in double quotes both take a
  /// backslash before `"`, `\`, `` ` `` and `$`, and everything else, line ends too, as it is.
  static func environmentLine(_ name: String, _ value: String) -> String {
    var line = name + "=\""
    for scalar in value.unicodeScalars {
      if scalar == "\"" || scalar == "\\" || scalar == "`" || scalar == "$" { line += "\\" }
      line.unicodeScalars.append(scalar)
    }
    return line + "\"\n"
  }

  /// What a shell takes as a variable's name.
  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == 95 || isLetter(first) else { return false }
    return text.utf8.allSatisfy { $0 == 95 || isLetter($0) || (48...57).contains($0) }
  }

  /// A name that some shell keeps for itself: read-only there, computed, or with a meaning for how it works. Such variables are not set by sourcing a file.
  static func isOwn(_ name: String) -> Bool {
    own.contains(name) || name.hasPrefix("BASH") || name.hasPrefix("COMP_") || name.hasPrefix("KSH_")
  }

  private static let own: Set<String> = [
    "DIRSTACK", "EGID", "ENV", "EPOCHREALTIME", "EPOCHSECONDS", "ERRNO", "EUID", "FUNCNAME", "GID", "GLOBIGNORE", "GROUPS", "HISTCMD",
    "IFS",
    "LINENO", "MAILCHECK", "OLDPWD", "OPTARG", "OPTERR", "OPTIND", "PIPESTATUS", "POSIXLY_CORRECT", "PPID", "PS1", "PS2", "PS3", "PS4",
    "PWD",
    "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "SRANDOM", "TMOUT", "UID", "USERNAME", "_",
  ]

  /// A file name that needs no care: letters, digits, `.`, `_`, `-`, and no dot in front.
  static func isPlain(_ text: String) -> Bool {
    guard let first = text.utf8.first, first != UInt8(ascii: "."), text.utf8.count <= 200 else { return false }
    return text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 || $0 == 95 }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}

/// Text as one word without white space, for the small files that scripts compare: `%` and two hexadecimal digits for what is not plain.
enum Token {
  static func encode(_ text: String) -> String {
    guard !text.isEmpty else { return "%" }
    var token = ""
    for byte in text.utf8 {
      if byte > 32, byte < 127, byte != UInt8(ascii: "%") {
        token.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        token += "%" + hexadecimal(byte)
      }
    }
    return token
  }

  /// nil when the text is not what `encode` makes.
  static func decode(_ token: some StringProtocol) -> String? {
    if token == "%" { return "" }
    var bytes: [UInt8] = []
    var rest = token.utf8[...]
    while let byte = rest.popFirst() {
      guard byte > 32, byte < 127 else { return nil }
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst(), let low = rest.popFirst(),
        let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
    }
    return bytes.isEmpty ? nil : String(validating: bytes, as: UTF8.self)
  }

  static func hexadecimal(_ byte: UInt8) -> String {
    let text = String(byte, radix: 16, uppercase: true)
    return byte < 16 ? "0" + text : text
  }
}
