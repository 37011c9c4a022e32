internal import NIOCore

/// A script for one exec: its variables, and the shell source that uses them.
///
/// All of it goes over stdin, so that no value, secret or not, is ever in an argument list on the host, and so that what the login shell is
/// given is one short line that sh, csh and fish read alike.
struct HostScript {
  /// What runs on the host: it reads the script from stdin to its end. sudo speaks English, so that it is understood.
  static func command(become: Bool) -> String { sudo(become) + #"sh -c 'eval "$(cat)"'"# }

  private static func sudo(_ become: Bool) -> String { become ? "env LC_ALL=C sudo -n " : "" }

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

  /// For a script that needs stdin for something else: what runs on the host takes no more of stdin than the script that comes first. A dd
  /// without `fullblock` refuses it before it reads anything.
  func leadCommand(become: Bool) -> String {
    let count = text.utf8.count
    return Self.sudo(become)
      + #"sh -c 'eval "$(dd bs=\#(count) count=1 iflag=fullblock 2>/dev/null || dd bs=1 count=\#(count) 2>/dev/null)"'"#
  }
}
