internal import NIOCore

/// A script for one exec: its variables, and the shell source that uses them.
///
/// All of it goes over stdin, so that no value, secret or not, is ever in an argument list on the host.
struct HostScript {
  /// What runs on the host: it reads the script from stdin.
  static let command = #"sh -c 'eval "$(cat)"'"#

  private(set) var text: String
  /// A value that no shell variable can hold (it has a zero byte), by the variable's name.
  private(set) var unusable: String?

  /// `parts` follow the common functions in this order.
  init(_ parts: String...) {
    text = ([CommonScript.source] + parts).joined(separator: "\n")
  }

  /// Sets a variable before the first part runs.
  mutating func set(_ name: String, _ value: String) {
    precondition(Shell.isName(name), "variables of scripts are named in source")
    if value.utf8.contains(0) { unusable = name }
    text = "\(name)=\(Shell.quote(value))\n" + text
  }

  mutating func set(_ name: String, _ value: some BinaryInteger) { set(name, String(value)) }

  var bytes: ByteBuffer { ByteBuffer(string: text) }

  /// The command line for a script that needs stdin for something else. Nothing secret may be in it.
  func argument(become: Bool) -> String { (become ? "sudo -n " : "") + "sh -c " + Shell.quote(text) }
}
