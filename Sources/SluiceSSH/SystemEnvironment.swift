internal import Glibc

/// What this process was given: environment, home directory.
enum SystemEnvironment {
  /// The variable's value, nil where it is unset or empty.
  static func value(_ name: String) -> String? {
    guard let pointer = getenv(name), pointer.pointee != 0 else { return nil }
    return String(cString: pointer)
  }

  /// The user's home: `HOME`, or `/` where there is none.
  static var home: String { value("HOME") ?? "/" }

  /// The home that this user's account names, which is where OpenSSH looks whatever `HOME` says. Blocks where accounts come over the network.
  static var accountHome: String? {
    guard let entry = getpwuid(getuid()), let home = entry.pointee.pw_dir else { return nil }
    return String(cString: home)
  }

  /// The name of this user's account.
  static var accountName: String? {
    guard let entry = getpwuid(getuid()), let name = entry.pointee.pw_name else { return nil }
    return String(cString: name)
  }

  /// `~/x` made absolute; any other path as it is.
  static func expandingTilde(_ path: String) -> String {
    path == "~" ? home : path.hasPrefix("~/") ? home + path.dropFirst(1) : path
  }
}
