/// The number of terminal columns that a text takes.
///
/// Source: Unicode Standard Annex 11 (wide and fullwidth), and the usual treatment of combining marks and emoji. When
/// terminals differ, the larger width counts, so that a cut line never wraps.
public enum DisplayWidth {
    private static let ellipsis: Character = "…"

    /// The columns of a text.
    public static func columns(of text: String) -> Int {
        text.reduce(0) { $0 + columns(of: $1) }
    }

    /// The columns of a character.
    static func columns(of character: Character) -> Int {
        let sum = character.unicodeScalars.reduce(0) { $0 + columns(of: $1) }
        // The emoji variation selector makes some characters wide.
        return character.unicodeScalars.contains { $0.value == 0xFE0F } ? max(sum, 2) : sum
    }

    /// The text, cut to at most this many columns; an ellipsis marks the cut.
    ///
    /// Characters that move the cursor, or control the terminal, become blanks.
    public static func cut(_ text: String, to columnsMax: Int) -> String {
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? " " : $0 }))
        guard columns(of: clean) > columnsMax else { return clean }
        guard columnsMax > 0 else { return "" }
        var (kept, count) = ("", 0)
        for character in clean {
            let width = columns(of: character)
            guard count + width < columnsMax else { break }
            kept.append(character)
            count += width
        }
        kept.append(ellipsis)
        return kept
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // Direction controls would turn the rest of the line around.
        default: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        }
    }

    private static func columns(of scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        // The later letters of a Hangul syllable take no columns of their own.
        if (0x1160...0x11FF).contains(scalar.value) || (0xD7B0...0xD7FF).contains(scalar.value) { return 0 }
        return scalar.properties.isEmojiPresentation || isWide(scalar.value) ? 2 : 1
    }

    /// Blocks of wide and fullwidth characters.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
        0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18D08,
        0x1AFF0...0x1B2FB, 0x1F200...0x1F2FF, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF,
        0x20000...0x3FFFD,
    ]

    private static func isWide(_ value: UInt32) -> Bool {
        value >= 0x1100 && wide.contains { $0.contains(value) }
    }
}
