import Glibc
import SluiceModel

/// Lines at the bottom of a terminal that are drawn again and again in the same place. It only makes the text; who writes it writes it in one go.
struct LiveArea {
  /// One line: what is seen, and the same with colours. Only `plain` is measured.
  struct Line: Equatable {
    var plain: String
    var styled: String

    /// `plain` may be anything, `styled` may hold a console's marks beside.
    init(_ plain: String, styled: String? = nil) {
      self.plain = PlainText.clean(plain)
      self.styled = styled ?? self.plain
    }
  }

  struct Size: Equatable {
    var columns: Int
    var rows: Int

    /// Of the terminal at a descriptor; 80 × 24 where it does not say.
    static func of(_ descriptor: CInt) -> Size {
      var window = winsize()
      guard ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0, window.ws_row > 0 else {
        return Size(columns: 80, rows: 24)
      }
      return Size(columns: Int(window.ws_col), rows: Int(window.ws_row))
    }
  }

  /// The widths of the lines that stand now.
  private var drawn: [Int] = []

  /// The cursor is at the start of the line below the area before and after.
  mutating func text(above: [String], lines: [Line], size: Size) -> String {
    var text = clear(size)
    for line in above { text += Console.rendered(line) + "\n" }
    let fitting = Self.fit(lines, rows: size.rows - 1)
    for line in fitting {
      let cut = Self.cut(line, size.columns - 1)
      text += Console.rendered(cut.styled) + "\n"
      drawn.append(cut.plain.count)
    }
    return text
  }

  /// Wipes the area away.
  mutating func clear(_ size: Size) -> String {
    // A terminal that has become narrower since has broken the lines anew.
    let rows = drawn.reduce(0) { $0 + max(1, ($1 + size.columns - 1) / size.columns) }
    drawn = []
    return rows == 0 ? "" : "\u{1B}[\(min(rows, size.rows - 1))A\r\u{1B}[J"
  }

  private static func fit(_ lines: [Line], rows: Int) -> [Line] {
    guard lines.count > rows, rows > 1 else { return lines }
    return lines.prefix(rows - 1) + [Line("  … \(lines.count - rows + 1) more lines: sluice status shows all")]
  }

  private static func cut(_ line: Line, _ columns: Int) -> Line {
    guard line.plain.count > columns else { return line }
    return Line(String(line.plain.prefix(max(0, columns - 1))) + "…")
  }
}
